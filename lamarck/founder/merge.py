"""A founder that is merged of other models, as a merge file says; each of them is named in its record."""

import shutil
from pathlib import Path

from lamarck import merge
from lamarck.errors import LamarckError, nearest
from lamarck.founder.licence import common_licence, forbids, licence_of
from lamarck.lineage.digest import source_digest
from lamarck.merge.sources import Sources, sources_of
from lamarck.progress import count_up


def check_merge_file(file: Path) -> None:
    """Everything that can be wrong with a founder's merge, from headers alone. Errors: LamarckError."""
    _check(file, sources_of(file))


def merge_founder(file: Path, directory: Path, work: Path) -> dict[str, object]:
    """Merge into `directory`, by way of `work`, where an interrupted merge goes on. Returns what its record says.

    Errors: LamarckError where the file is not sound, a model is not under its `models`, or changed meanwhile.
    """
    sources = sources_of(file)
    tensors = _check(file, sources)
    before = {name: source_digest(path) for name, path in sources.models.items()}
    shutil.rmtree(work, ignore_errors=True)
    with count_up("g0 is merged", "tensors", tensors) as advance:
        checked = merge.run(file, work, advance=advance)
    for name, path in sources.models.items():
        if source_digest(path) != before[name]:
            raise LamarckError(f"{name} in {path} changed while it was merged: run snakemake again")
    for path in sorted(work.iterdir()):
        path.rename(directory / path.name)
    work.rmdir()
    licences = {name: licence_of(path) for name, path in sources.models.items()}
    said = [sentence for name, licence in licences.items() if (sentence := forbids(name, licence))]
    for sentence in said:
        print(sentence, flush=True)
    return {
        "kind": "merge",
        "result": checked.result,
        "license": common_licence(licences.values()),
        "parents": [{"name": name, "digest": before[name], "license": licences[name]} for name in sources.models],
        "said": said,
        "notes": [str(note) for note in checked.notes],
    }


def _check(file: Path, sources: Sources) -> int:
    """The number of tensors that are made. A model that is not under `models` would be no input of the founder, which
    would not be made again when it changes."""
    checked = merge.check(file)
    for name in sorted(checked.external):
        if name not in sources.models:
            raise LamarckError(
                f"{file} says under `models` nothing of {name}, so nobody would see it change: "
                f"{nearest(name, sources.models)}"
            )
    return sum(len(layout.outputs) for layout in checked.layouts)
