"""A copy of a checkpoint, from a machine that died, for this checkout: checked, counted, sealed anew, and named."""

import tempfile
from contextlib import closing
from pathlib import Path

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import digest_value
from lamarck.gate.journal import journal_of
from lamarck.gate.plan import read_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.artifacts import trained_kind
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import TakenIn
from lamarck.train.chain import Chain, read_chain
from lamarck.train.checkpoint import sealed_notes
from lamarck.train.second_place import fetch_copy

NEEDED = {"run", "progress", "seal"}


def take_in(config: Config, child: Generation, place: str, by: str) -> TakenIn:
    """Let the next training of `child` go on from the copy in `place`, a directory or HOST:DIRECTORY.

    Nobody can tell who made the copy: whoever takes it in vouches for it, and the child's record says who. What it says
    that it spent counts against the ceiling here, where less is known to be spent.
    Errors: LamarckError where it cannot be had, is damaged, is another run's, or a checkpoint is here already.
    """
    directory = child.directory / "checkpoint"
    run = digest_value(trained_kind(config).input_digests(config, child))
    journal = journal_of(child.name, plan_digest(read_plan(child.plan)))
    spent = journal.spent()
    with closing(Chain(directory)) as chain:
        if chain.latest:
            raise LamarckError(f"{directory} holds a checkpoint already: delete it to go on from the copy instead")
        with tempfile.TemporaryDirectory(dir=child.directory, prefix=".copy-") as fetched:
            fetch_copy(place, Path(fetched))
            copy = read_chain(Path(fetched))
        if copy is None or not copy.notes.keys() >= NEEDED:
            raise LamarckError(f"{place} holds no checkpoint: name the directory with the child's name, as in PLACE/g1")
        if copy.notes["run"] != run:
            raise LamarckError(
                f"{place} holds a checkpoint of another run than the {child.name} that is planned here: another plan, "
                "curriculum, parent, recipe or number of threads"
            )
        taken = TakenIn(place=place, step=copy.step, digest=copy.digest, by=by)
        progress = copy.notes["progress"]
        if progress["spent"] > spent:
            journal.carry(progress["spent"] - spent)
        progress |= {"taken_in": [*progress["taken_in"], taken.model_dump(mode="json")]}
        said = {"run": run, "progress": progress}
        chain.write(copy.step, copy.tensors, lambda digest: sealed_notes(directory, digest, said))
    return taken
