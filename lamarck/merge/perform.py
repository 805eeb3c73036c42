"""Run a merge file: every document that its result needs, each tensor by tensor, the result in one model directory."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import SNAKEMAKE_MARKER, cached_digest, digest_value, read_json, write_json, write_text
from lamarck.merge.card import write_card
from lamarck.merge.checked import Checked
from lamarck.merge.estimate import MergePlan, check_room, needed_bytes
from lamarck.merge.make import Maker
from lamarck.merge.shards import plan_shards, write_shards
from lamarck.merge.tokens import write_config, write_tokenizer
from lamarck.merge.weights import ModelView, open_model

RECORD = "merge.json"
BESIDE = "generation_config.json"
SHARD_BYTES = 4 * 10**9


def run_checked(
    checked: Checked,
    output: Path,
    planned: MergePlan | None,
    shard_bytes: int,
    advance: Callable[[int], None],
) -> Path:
    """Write the result of a checked merge to `output`.

    What is being made lies in `.NAME.merging` beside it; the same merge goes on there after an interruption, and
    another one begins anew. Errors: LamarckError where `output` exists, a model changed since the plan, a weight is not
    finite, or the disk is full.
    """
    if output.exists():
        raise LamarckError(f"{output} is there already: name a directory that is not")
    check_here(checked)
    inputs = {name: model_digests(checked.models[name]) for name in sorted(checked.external)}
    if planned is not None:
        _check_unchanged(planned, checked, inputs)
    work = output.with_name(f".{output.name}.merging")
    record = _record(checked, inputs)
    with _alone_in(work):
        _take_up(work, digest_value([record, shard_bytes]))
        finished = sum(path.stat().st_size for path in work.glob("*/*.safetensors"))
        check_room(needed_bytes(checked) - finished, shutil.disk_usage(work).free, work)
        final = _make_documents(checked, work, shard_bytes, advance)
        write_card(final, checked, record)
        write_json(final / RECORD, record)
        final.rename(output)
        shutil.rmtree(work)
    return output


def _make_documents(checked: Checked, work: Path, shard_bytes: int, advance: Callable[[int], None]) -> Path:
    """Make every document in its own directory of `work`, after those that it reads. Returns the result's."""
    models = dict(checked.models)
    for layout in checked.layouts:
        name = layout.document.name
        directory = work / _folder(name)
        if _is_made(directory):
            advance(len(layout.outputs))
        else:
            maker = Maker(layout, models, checked.seed)
            _make(maker, directory, shard_bytes, advance)
            _finish(maker, models, directory)
        if _is_needed(checked, work, name):
            models[name] = open_model(name, directory)
        _drop_unneeded(checked, work)
    return work / _folder(checked.result)


def _is_made(directory: Path) -> bool:
    return (directory / "config.json").exists()  # it is written last


def _is_needed(checked: Checked, work: Path, name: str) -> bool:
    """Whether the weights of a document are the result, or read by one that is not made yet."""
    unmade = [layout for layout in checked.layouts if not _is_made(work / _folder(layout.document.name))]
    return name == checked.result or any(name in layout.document.references for layout in unmade)


def _drop_unneeded(checked: Checked, work: Path) -> None:
    """Delete the weights that no later document reads."""
    for layout in checked.layouts:
        directory = work / _folder(layout.document.name)
        if _is_made(directory) and not _is_needed(checked, work, layout.document.name):
            for weights in directory.glob("*.safetensors"):
                weights.unlink()


def check_here(checked: Checked) -> None:
    """Errors: LamarckError where a model is known by its shape alone."""
    for name in sorted(checked.external):
        if checked.models[name].directory is None:
            raise LamarckError(
                f"{name} is not here, so this merge can only be planned: fetch it and name its directory under models"
            )


def model_digests(model: ModelView) -> dict[str, str]:
    """File -> sha256 of what a merge reads of a model: weights, configuration, tokenizer."""
    assert model.directory is not None
    files = {header.file for header in model.tensors.values() if header.file}
    files |= {path for path in model.directory.iterdir() if path.suffix in (".json", ".jinja", ".model", ".txt")}
    return {path.name: cached_digest(path) for path in sorted(files) if path.name != SNAKEMAKE_MARKER}


def _check_unchanged(planned: MergePlan, checked: Checked, inputs: dict[str, dict[str, str]]) -> None:
    if planned.inputs is None:
        raise LamarckError("the plan holds no digests of the models: make it with `lamarck merge plan FILE --out PLAN`")
    if planned.merge != checked.digest():
        raise LamarckError("the merge file, or a shape in it, is not what was planned: make the plan again")
    for name, files in inputs.items():
        before = planned.inputs.get(name, {})
        changed = sorted(file for file in before.keys() | files.keys() if before.get(file) != files.get(file))
        if changed:
            raise LamarckError(f"{name} changed since the plan ({changed[0]}): look at it, and make the plan again")


def _record(checked: Checked, inputs: dict[str, dict[str, str]]) -> dict[str, object]:
    """What the output is made of: nothing in it depends on the place, the machine or the hour."""
    return {
        "documents": [layout.document.model_dump(mode="json") for layout in checked.layouts],
        "inputs": inputs,
        "notes": [str(note) for note in checked.notes],
        "result": checked.result,
        "seed": checked.seed,
    }


def _take_up(work: Path, identity: str) -> None:
    """Go on in `work` if the same merge began there; otherwise begin anew."""
    mark = work / "identity.json"
    if not mark.exists() or read_json(mark) != identity:
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_json(mark, identity)


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """The directory, made if it is missing, for this process alone. Errors: LamarckError where another one is at it."""
    work.mkdir(parents=True, exist_ok=True)
    held = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LamarckError(f"another process is merging in {work}: wait for it, or end it") from error
    finally:
        os.close(held)


def _folder(name: str) -> str:
    return name.replace("/", "--")


def _make(maker: Maker, directory: Path, shard_bytes: int, advance: Callable[[int], None]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    shards = plan_shards(maker.layout.view.tensors, shard_bytes)
    write_shards(directory, shards, maker.make, advance)


def _finish(maker: Maker, models: dict[str, ModelView], directory: Path) -> None:
    """Tokenizer and configuration beside the weights; config.json last, it says that all is there."""
    layout = maker.layout
    named = {layout.vocabulary.tokenizer, *layout.vocabulary.union}
    directories = {name: models[name].directory for name in named}
    try:
        write_tokenizer(layout.vocabulary, {name: path for name, path in directories.items() if path}, directory)
    except OSError as error:
        raise LamarckError(f"cannot write the tokenizer to {directory}: {error.strerror}; make room") from error
    main = models[layout.document.base_model or layout.document.models[0]].directory
    if main and (main / BESIDE).is_file():
        write_text(directory / BESIDE, (main / BESIDE).read_text(encoding="utf-8"))
    write_config(layout.view.config, directory)
