"""`lamarck review g1 --edit`: a human drops or changes items before the run is approved. Nothing is lost on the way:
the editor works on a copy, and a copy that is refused stays for the next try."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from lamarck.config import Config
from lamarck.curriculum.dataset_card import dataset_card
from lamarck.curriculum.edit import Edit, editable, read_edit, recount
from lamarck.curriculum.item import Item, read_curriculum
from lamarck.curriculum.limits import broken_limits
from lamarck.curriculum.strategy import Strategy, load_strategy
from lamarck.errors import LamarckError
from lamarck.files import digest_file, read_json, write_json, write_jsonl, write_text
from lamarck.freshness import curriculum_state
from lamarck.gate.plan import short
from lamarck.lineage import Generation, HumanEdit, Record, read_record
from lamarck.run_lock import take_run_lock
from lamarck.visible import visible

SHOWN = 10
LONGEST_TEXT = 100


def edit_curriculum(config: Config, child: Generation, by: str, console: Console | None = None) -> None:
    """Open the editor on a copy of `child`'s curriculum, judge what comes back, and write it with its cards.

    Errors: LamarckError, and nothing written, for a control arm, a curriculum that its inputs would make anew, an
    editor that fails, a refused line, or an edit below the strategy's floor or beyond its limits.
    """
    console = console or Console()
    if child.is_control:
        raise LamarckError(
            f"{child.name} is a control arm, which nobody curates: edit {child.planned_by.name}, and it follows in size"
        )
    stale = curriculum_state(config, child).stale
    if stale:
        raise LamarckError(f"{child.curriculum} is not up to date ({stale}): run snakemake, then edit")
    record = read_record(child.card)
    items = list(read_curriculum(child.curriculum))
    copy = child.curriculum.with_name(f"curriculum.edit-{short(record.digest)}.jsonl")
    if copy.exists():
        console.print(Text(f"Going on with {copy}; delete it to begin anew."))
    else:
        write_text(copy, editable(items))
    _open_editor(copy)
    # The suites are read only now: the editor should open at once.
    from lamarck.curriculum.suites import contaminations

    suites = contaminations(Path(config.suite))
    edit = read_edit(_read(copy), items, suites[Path(config.suite).name])
    _show(console, edit)
    if edit.refusals:
        more = f", and {len(edit.refusals) - SHOWN} more" if len(edit.refusals) > SHOWN else ""
        raise LamarckError(
            f"nothing was written, because of {'; '.join(edit.refusals[:SHOWN])}{more}; your edit lies in {copy}: "
            f"`lamarck review {child.name} --edit` opens it again"
        )
    if not edit.dropped and not edit.changes:
        copy.unlink()
        console.print(Text("Nothing was changed."))
        return
    strategy = load_strategy(Path(config.strategy))
    card = recount(read_json(child.card), edit, record.inputs["parent"], measures={})
    measures = _measure(child, edit.items, record, suites, card)
    _check_limits(strategy, child, card["kept"], measures, copy)
    take_run_lock()
    if digest_file(child.curriculum) != record.digest:
        raise LamarckError(
            f"{child.curriculum} changed while you edited; nothing was written, your edit lies in {copy}"
        )
    write_jsonl(child.curriculum, (item.model_dump(mode="json", exclude_none=True) for item in edit.items))
    edited = record.model_copy(
        update={"digest": digest_file(child.curriculum), "human_edited": _human_edit(record, edit, by)}
    )
    card |= {"measures": measures, "record": edited.model_dump(mode="json")}
    write_text(child.dataset_card, dataset_card(card, config.founder))
    write_json(child.card, card)
    console.print(Text(_what_next(child, edited.digest, copy)))


def _open_editor(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise LamarckError(f"no editor is named: set VISUAL or EDITOR, for example `EDITOR=nano`; the copy is {path}")
    try:
        done = subprocess.run([*shlex.split(editor), str(path)])
    except (OSError, ValueError) as error:
        raise LamarckError(f"the editor {editor!r} does not start ({error}): set VISUAL or EDITOR") from error
    if done.returncode:
        raise LamarckError(f"{editor} ended with exit code {done.returncode}: nothing was written, the copy is {path}")


def _read(copy: Path) -> str:
    try:
        return copy.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LamarckError(f"{copy} is not UTF-8 text ({error}): save it so; nothing was written") from error


def _show(console: Console, edit: Edit) -> None:
    """What the human did, before and after, the first few of each."""
    console.print(Text(f"{len(edit.dropped)} items dropped, {len(edit.changes)} changed:", style="bold"))
    for item in edit.dropped[:SHOWN]:
        console.print(Text(f"  - {_text(item)}", style="red"))
    _say_more(console, edit.dropped)
    for change in edit.changes[:SHOWN]:
        console.print(Text(f"  - {_text(change.before)}", style="red"))
        console.print(Text(f"  + {_text(change.after)}", style="green"))
    _say_more(console, edit.changes)


def _text(item: Item) -> str:
    return f"{visible(item.prompt, LONGEST_TEXT)} {visible(item.completion, LONGEST_TEXT)}"


def _say_more(console: Console, done: Sequence[object]) -> None:
    if len(done) > SHOWN:
        console.print(Text(f"  … and {len(done) - SHOWN} more"))


def _measure(
    child: Generation, items: Sequence[Item], record: Record, suites: dict[str, Any], card: dict[str, Any]
) -> dict[str, float]:
    """The guard-rails of the curriculum as it is after the edit."""
    from lamarck.curriculum.guard_rails import measure

    own = [item for item in items if item.teacher.digest == record.inputs["parent"]]
    if not own:
        raise LamarckError(f"nothing that {card['parent']} wrote is left: a curriculum without it teaches nothing new")
    replayed = [item for item in items if item.teacher.digest != record.inputs["parent"]]
    earlier = [_own_items(Generation(n, child.prefix)) for n in range(1, child.number)]
    return measure(own, replayed, earlier, suites, len(own) / card["sampled"], len(card["cells"]))


def _own_items(earlier: Generation) -> list[Item]:
    parent = read_record(earlier.card).inputs["parent"]
    return [item for item in read_curriculum(earlier.curriculum) if item.teacher.digest == parent]


def _check_limits(strategy: Strategy, child: Generation, kept: int, measures: dict[str, float], copy: Path) -> None:
    """The strategy's guard-rails bind a human too: who wants other ones writes them into the strategy."""
    if kept < strategy.minimum_items:
        raise LamarckError(
            f"{kept} items are left, below the strategy's minimum of {strategy.minimum_items}: nothing was written, "
            f"your edit lies in {copy}"
        )
    if child.number > 1:
        first = read_json(Generation(1, child.prefix).card)["measures"]
        broken = broken_limits(strategy.limits, measures, first)
        if broken:
            raise LamarckError(
                f"out of the strategy's limits: {'; '.join(broken)}; nothing was written, your edit lies in {copy}"
            )


def _human_edit(record: Record, edit: Edit, by: str) -> HumanEdit:
    before = record.human_edited or HumanEdit(by=(), written=record.digest, dropped=0, changed=0)
    return HumanEdit(
        by=tuple(dict.fromkeys([*before.by, by])),
        written=before.written,
        dropped=before.dropped + len(edit.dropped),
        changed=sum(bool(item.edited_from) for item in edit.items),
    )


def _what_next(child: Generation, digest: str, copy: Path) -> str:
    return (
        f"\n{child.curriculum} is now {short(digest)}, and its card says who edited it; {copy} keeps your edit.\n"
        f"The plan no longer fits, and an approval of it no longer holds:\n"
        f"  snakemake              plans {child.name} again\n"
        f"  lamarck review {child.name}      shows the new plan\n"
    )
