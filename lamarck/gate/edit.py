"""`lamarck review g1 --edit`: a human drops or changes items before the run is approved. Nothing is lost on the way:
the editor works on a copy, and a copy that is refused stays for the next try."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lamarck import output
from lamarck.config import Config
from lamarck.config.limits import broken_limits
from lamarck.config.strategy import Strategy
from lamarck.curriculum.cell import checked_strategy
from lamarck.curriculum.dataset_card import dataset_card
from lamarck.curriculum.edit import CurriculumEdit, RefusedEdit, editable, read_edit, recount
from lamarck.curriculum.item import Item, mixed_in, own_items, read_curriculum
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.errors import LamarckError
from lamarck.files import digest_file, write_json, write_jsonl, write_text
from lamarck.gate.standing import command, go_on_with
from lamarck.lineage.artifacts import CURRICULUM
from lamarck.lineage.contents import Card, read_card
from lamarck.lineage.digest import short
from lamarck.lineage.freshness import examine
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import HumanEdit, Record, read_record
from lamarck.run_lock import take_run_lock
from lamarck.visible import visible

SHOWN = 10
LONGEST_TEXT = 100


def edit_curriculum(config: Config, child: Generation, by: str) -> None:
    """Open the editor on a copy of `child`'s curriculum, judge what comes back, and write it with its cards.

    Errors: LamarckError, and nothing written, for a control arm, a curriculum that its inputs would make anew, an
    editor that fails, a refused line, or an edit below the strategy's floor or beyond its limits.
    """
    console = output.console()
    if child.is_control:
        raise LamarckError(
            f"nobody curates a control arm: edit {child.planned_by.name}, and {child.name} follows in size"
        )
    if not child.number:
        raise LamarckError(f"the primer of {child.name} is drawn by its file, founder.primer: change that instead")
    if child.is_crossed:
        raise LamarckError(f"{child.name} is a child of two parents and has no curriculum: there is nothing to edit")
    stale = examine(CURRICULUM, child, config).stale
    if stale:
        raise LamarckError(f"{child.curriculum} is not up to date ({stale}): run snakemake, then edit")
    record = read_record(child.card)
    items = list(read_curriculum(child.curriculum))
    copy = child.curriculum.with_name(f"curriculum.edit-{short(record.digest)}.jsonl")
    text = _edited_text(copy, editable(items), console)
    # The suites are read only now: the editor opens at once.
    from lamarck.curriculum.suite_overlap import contaminations, kept_out

    strategy = checked_strategy(config.strategy_of(child.number))  # opens the skills that are the user's own
    suites = contaminations(Path(config.suite))
    edit = read_edit(text, items, kept_out(suites))
    if not isinstance(edit, CurriculumEdit):
        raise LamarckError(_refused(console, child, edit, copy))
    if not edit.dropped and not edit.changes:
        copy.unlink()
        console.print("Nothing was changed.")
        return
    _show(console, edit)
    card = recount(read_card(child.card), edit, record.inputs["parent"])
    card = card.model_copy(update={"measures": _measures(child, edit.items, record, suites, card)})
    broken = _broken(strategy, child, card)
    if broken:
        raise LamarckError(f"nothing was written: {'; '.join(broken)}; your edit lies in {copy}")
    digest = _write(config, child, edit, record, card, by, copy)
    console.print(Text(_what_next(child, digest, copy)))


def _edited_text(copy: Path, fresh: str, console: Console) -> str:
    """What the human made of `fresh`, the curriculum as it is, or of an earlier copy that was not finished."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise LamarckError("no editor is named: set VISUAL or EDITOR, for example `EDITOR=nano`")
    if copy.exists() and copy.read_bytes() != fresh.encode():
        console.print(Text(f"Going on with {copy}; delete it to begin anew."))
    else:
        write_text(copy, fresh)
    _open_editor(editor, copy)
    try:
        return copy.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LamarckError(f"{copy} is not UTF-8 text ({error}): save it so; nothing was written") from error


def _open_editor(editor: str, path: Path) -> None:
    try:
        done = subprocess.run([*shlex.split(editor), str(path)])
    except (OSError, ValueError) as error:
        raise LamarckError(f"the editor {editor!r} does not start ({error}): set VISUAL or EDITOR") from error
    if done.returncode:
        raise LamarckError(f"{editor} ended with exit code {done.returncode}: nothing was written, the copy is {path}")


def _refused(console: Console, child: Generation, refusals: Sequence[RefusedEdit], copy: Path) -> str:
    """Print the lines and why; return the sentence that the command ends with."""
    for refusal in refusals[:SHOWN]:
        console.print(Text(f"line {refusal.line}: {refusal.reason}", style="red"))
    _say_more(console, refusals)
    others = f" and {len(refusals) - 1} others" if len(refusals) > 1 else ""
    return (
        f"nothing was written, because of line {refusals[0].line}{others} of {copy} ({refusals[0].reason}): "
        f"mend it with `lamarck review {child.name} --edit`"
    )


def _write(
    config: Config, child: Generation, edit: CurriculumEdit, record: Record, card: Card, by: str, copy: Path
) -> str:
    """Put curriculum and cards in place, while no run reads them. Returns the curriculum's new digest."""
    take_run_lock()
    if digest_file(child.curriculum) != record.digest:
        raise LamarckError(
            f"{child.curriculum} changed while you edited; nothing was written, your edit lies in {copy}"
        )
    write_jsonl(child.curriculum, (item.model_dump(mode="json") for item in edit.items))
    digest = digest_file(child.curriculum)
    edited = record.model_copy(update={"digest": digest, "human_edited": _human_edit(record, edit, by)})
    card = card.model_copy(update={"record": edited})
    write_text(child.dataset_card, dataset_card(card, config.founder))
    write_json(child.card, card.written())
    return digest


def _show(console: Console, edit: CurriculumEdit) -> None:
    """What the human did, before and after, the first few of each."""
    dropped, changes = edit.dropped_problems, edit.changed_problems
    console.print(Text(f"dropped: {len(dropped)}, changed: {len(changes)}", style="bold"))
    for item in dropped[:SHOWN]:
        console.print(Text(f"  - {_text(item)}", style="red"))
    _say_more(console, dropped)
    for change in changes[:SHOWN]:
        console.print(Text(f"  - {_text(change.before)}", style="red"))
        console.print(Text(f"  + {_text(change.after)}", style="green"))
    _say_more(console, changes)


def _text(item: Item) -> str:
    return f"{visible(item.prompt, LONGEST_TEXT)} {visible(item.completion, LONGEST_TEXT)}"


def _say_more(console: Console, done: Sequence[object]) -> None:
    if len(done) > SHOWN:
        console.print(Text(f"  … and {len(done) - SHOWN} more"))


def _measures(
    child: Generation, items: Sequence[Item], record: Record, suites: dict[str, Contamination], card: Card
) -> dict[str, float]:
    """The guard-rails of the curriculum as it is after the edit."""
    from lamarck.curriculum.guard_rails import measure

    own = own_items(items, record.inputs["parent"])
    if not own:
        raise LamarckError(f"nothing was written: no item of {card.parent}'s own is left to teach {child.name}")
    replayed, anchors = mixed_in(items, record.inputs["parent"])
    earlier = [_own_items(each) for each in child.line[1:-1] if not each.is_crossed]
    return measure(own, replayed, anchors, earlier, suites, card.acceptance, len(card.cells))


def _own_items(earlier: Generation) -> list[Item]:
    return own_items(read_curriculum(earlier.curriculum), read_record(earlier.card).inputs["parent"])


def _broken(strategy: Strategy, child: Generation, card: Card) -> list[str]:
    """What the strategy does not allow: its guard-rails bind a human too, who can write other ones into it."""
    broken = []
    if card.kept < strategy.minimum_items:
        broken.append(f"{card.kept} items are left, below the strategy's minimum of {strategy.minimum_items}")
    if child.number > 1:
        first = read_card(child.line[1].card).measures
        broken += broken_limits(strategy.limits, card.measures, first)
    return broken


def _human_edit(record: Record, edit: CurriculumEdit, by: str) -> HumanEdit:
    before = record.human_edited or HumanEdit(by=(), written=record.digest, dropped=0, changed=0)
    return HumanEdit(
        by=tuple(dict.fromkeys([*before.by, by])),
        written=before.written,
        dropped=before.dropped + len(edit.dropped_problems),
        changed=sum(bool(item.edited_from) and item.task == "solve" for item in edit.items),
    )


def _what_next(child: Generation, digest: str, copy: Path) -> str:
    return (
        f"\n{child.curriculum} is now {short(digest)}, and its card says who edited it; {copy} keeps your edit.\n"
        f"The plan no longer fits, and an approval of it no longer holds: {go_on_with(child, child.plan)} plans "
        f"{child.name} again, and `{command('lamarck')} review {child.name}` shows the new plan.\n"
    )
