"""The table a run ends with: every generation, its score with interval, and the paired difference to its parent."""

from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lamarck.config import Config
from lamarck.eval.compare import Comparison, check_same_ruler, compare
from lamarck.eval.interval import interval
from lamarck.lineage.contents import read_samples, read_scores
from lamarck.lineage.flags import cut_short_among, flag_sentences, red_flags
from lamarck.lineage.generation import Generation
from lamarck.suites.suite import suite_kinds, suite_weights


def scored_generations(config: Config) -> list[Generation]:
    """Every generation of the main lineage that has scores, in order."""
    generations = [Generation(number) for number in range(config.generations + 1)]
    return [generation for generation in generations if generation.scores.exists() and generation.samples.exists()]


def scores_rows(config: Config) -> list[dict[str, Any]]:
    """The table's content, for machines: one row a generation, its control arm's in `control`."""
    return rows_of(config, scored_generations(config))


def rows_of(config: Config, generations: list[Generation]) -> list[dict[str, Any]]:
    """The same of any generations that have scores on the configuration's suite, as their parents and g0 have."""
    weights, kinds = suite_weights(Path(config.suite)), suite_kinds(Path(config.suite))
    rows = []
    for generation in generations:
        row = _compared(generation, weights, kinds)
        if generation.number and config.control and generation.control.samples.exists():
            row["control"] = _compared(generation.control, weights, kinds)
        rows.append(row)
    return rows


def _compared(generation: Generation, weights: dict[str, float], kinds: dict[str, str]) -> dict[str, Any]:
    """The row of one generation, with how it differs from its parents, as far as it has them, and from the founder."""
    row = _row(generation, weights, kinds)
    if generation.number:
        for key, parent in zip(("to_parent", "to_other_parent"), generation.parents, strict=False):
            row[key] = _difference(generation, parent, weights, kinds)
        row["to_founder"] = _difference(generation, Generation(0), weights, kinds)
    return row


def _row(generation: Generation, weights: dict[str, float], kinds: dict[str, str]) -> dict[str, Any]:
    scores = read_scores(generation.scores)
    row: dict[str, Any] = {"generation": generation.name, "partial": scores.partial, "score": scores.score}
    row["flags"] = red_flags(scores, read_scores(Generation(0).scores))
    row["cut_short"] = cut_short_among([generation])
    if not scores.partial:
        row["interval"] = interval(read_samples(generation.samples), weights, kinds).model_dump()
        row["bits_per_byte"] = scores.bits_per_byte
    return row


def _difference(
    child: Generation, parent: Generation, weights: dict[str, float], kinds: dict[str, str]
) -> dict[str, Any] | None:
    """The paired comparison, or None where one side is partial, or the parent not scored: errors are never compared.

    Errors: LamarckError where the two were not measured alike.
    """
    if not parent.samples.exists():
        return None
    ours, theirs = (read_scores(side.scores) for side in (child, parent))
    if ours.partial or theirs.partial:
        return None
    check_same_ruler(ours, theirs)
    return compare(read_samples(child.samples), read_samples(parent.samples), weights, kinds).model_dump()


def scores_table(rows: list[dict[str, Any]]) -> Table:
    """Four numbers a generation, within 80 columns; the control arm's below the generation that it controls."""
    title = "Score on the frozen suite, 0..100, with 95% intervals"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), title=title)
    for heading in ("", "score", "to its parent", "to g0", "bits/byte"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in rows:
        _add(table, row)
        if "control" in row:
            _add(table, row["control"])
    return table


def scores_sentences(rows: list[dict[str, Any]]) -> list[str]:
    """What the table does not show: a training that did not come to its end, and what the founder could do better."""
    every = [each for row in rows for each in (row, row.get("control")) if each]
    return [each for row in every for each in flag_sentences(row["generation"], row["flags"], row["cut_short"])]


def _add(table: Table, row: dict[str, Any]) -> None:
    bits = f"{row['bits_per_byte']:.3f}" if "bits_per_byte" in row else ""
    table.add_row(row["generation"], _score(row), _signed(row.get("to_parent")), _signed(row.get("to_founder")), bits)


def _score(row: dict[str, Any]) -> Text:
    if row["partial"]:
        return Text("partial", style="bold red")
    low, high = row["interval"]["low"], row["interval"]["high"]
    return Text(f"{row['score']:.1f} [{low:.1f}, {high:.1f}]")


def _signed(difference: dict[str, Any] | None) -> Text:
    if difference is None:
        return Text("")
    low, high = difference["interval"]["low"], difference["interval"]["high"]
    style = {"better": "green", "worse": "red"}.get(difference["verdict"], "")
    return Text(f"{difference['difference']:+.1f} [{low:+.1f}, {high:+.1f}]", style=style)


def comparison_table(names: tuple[str, str], comparison: Comparison) -> Table:
    """One comparison at length: A minus B per task, and in all."""
    first, second = names
    table = Table(box=box.SIMPLE_HEAD, title=f"{first} minus {second}, in points, over {comparison.n} paired items")
    table.add_column("task")
    table.add_column("difference", justify="right")
    for task, difference in comparison.tasks.items():
        table.add_row(task, f"{difference:+.1f}")
    table.add_section()
    table.add_row("suite", _signed(comparison.model_dump()))
    return table


def comparison_sentences(comparison: Comparison) -> list[str]:
    """What the table's last line means."""
    return [
        f"{comparison.child_ahead} items gained, {comparison.parent_ahead} lost",
        f"verdict: {comparison.verdict} (p = {comparison.p_value:.2g} that the difference of the suite is none: "
        "sign-flip test)",
        f"a true difference of {comparison.detectable:.1f} points would be found four times in five",
        "this is about these two models: what a recipe or strategy is worth takes several seeds of training",
        "per-task differences are not corrected for there being several: look for patterns, not for one",
    ]
