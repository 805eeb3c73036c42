"""`lamarck search run|status|report|adopt`: strategies bred for their grandchildren."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from rich import box
from rich.table import Table

from lamarck import output, strict_yaml
from lamarck.commands.campaign import asking
from lamarck.config.section import check_section
from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.gate.approval import Approver
from lamarck.lineage.configured import merged
from lamarck.lineage.generation import RESULTS
from lamarck.output import tell
from lamarck.search.file import RECIPE, Search, load_search, split
from lamarck.search.run import rounds, run_search


def run(
    path: Path,
    approver: Callable[[], Approver],
    typed_digest: str | Callable[[str], str],
    key: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Ask once a round, run, and print the report. Errors: those of `run_search`."""
    search = load_search(path)
    run_search(search, approver, asking(output.console(stderr=as_json), typed_digest), key, jobs)
    report(search, as_json)


def named(name: str) -> Search:
    """The search as it last ran. Errors: LamarckError where none of that name has."""
    path = RESULTS / "search" / name / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(each.name for each in (RESULTS / "search").glob("*"))) or "none"
        raise LamarckError(f"no search {name!r} has run here (there is: {known}): `lamarck search run FILE`")
    return load_search(path)


def status(search: Search, as_json: bool) -> None:
    """How far it is, round by round."""
    found = [
        {
            "round": each.name,
            "candidates": len(each.candidates),
            "state": "finished" if each.finished else "under way" if each.campaign else "to come",
        }
        for each in rounds(search)
    ]
    if as_json:
        print(json.dumps({"search": search.name, "rounds": found}, indent=2))
        return
    console = output.console()
    tell(console, f"{search.name}: {search.file.rounds} rounds, then the winner on fresh founders")
    for each in found:
        tell(console, f"  {each['round']:<6} {each['candidates']} candidates, {each['state']}")


def report(search: Search, as_json: bool) -> None:
    """Candidates with what was changed, and the winner's figure on founders that chose nothing."""
    from lamarck.search.report import as_json as content
    from lamarck.search.report import report as made  # scipy: half a second

    found = made(search)
    if as_json:
        print(json.dumps(content(search, found), indent=2))
        return
    console = output.console()
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("round", "candidate", "from", "to the baseline", "founders", *search.file.space):
        table.add_column(heading)
    for line in found.lines:
        shown = "" if line.difference is None else f"{line.difference:+.1f}"
        values = (str(line.values[name]) for name in search.file.space)
        table.add_row(line.round, line.candidate, ", ".join(line.parents), shown, str(line.seeds), *values)
    console.print(table)
    tell(console, "What leads was chosen by these figures, so they flatter it.")
    row = found.winner
    if row is None or row.difference is None:
        tell(console, f"the winner is still to be tried on {len(search.file.fresh_seeds)} fresh founders")
    else:
        bounds = "" if row.low is None else f" [{row.low:+.1f}, {row.high:+.1f}], p {row.p_value:.3f}"
        tell(
            console,
            f"The winner, {row.arm}, on {row.pairs} founders that chose nothing: {row.difference:+.1f} points to the "
            f"baseline{bounds}: {row.verdict}.",
        )
    if found.proxy is None:
        tell(console, f"{found.proxy_pairs} candidates are too few to say whether a child's score foretells that.")
    else:
        tell(console, f"Child and grandchild: rank correlation {found.proxy:.2f} over {found.proxy_pairs} candidates.")
    tell(console, f"{found.device_seconds:.0f} device-seconds of training.")


def adopt(search: Search, to: Path) -> None:
    """Write the winner's strategy, with its evidence, where configurations can name it.

    Errors: LamarckError before the final is finished, and where there is such a file.
    """
    from lamarck.search.report import report as made

    found = made(search)
    if not found.finished or found.winner is None or found.winner_values is None:
        raise LamarckError(f"search {search.name} is not finished: `lamarck search run FILE` goes on with it")
    if to.exists():
        raise LamarckError(f"{to} is there already: name another file with --to")
    strategy, config = split(found.winner_values)
    values = strict_yaml.load(Path(search.base.strategy))
    whole = check_section(merged(values, strategy), Strategy, str(to))
    row = found.winner
    interval = "" if row.low is None else f" [{row.low:+.1f}, {row.high:+.1f}]"
    lines = [
        f"# Found by the search {search.name}: {row.arm}.",
        f"# On {row.pairs} founders that chose nothing, to {search.base.strategy}:",
        f"# {row.difference:+.1f} points{interval}, {row.verdict}.",
    ]
    if config:
        recipe = ", ".join(f"{name.removeprefix(RECIPE)} {value}" for name, value in config["recipe"].items())
        lines.append(f"# It was found together with this recipe: {recipe}.")
    text = yaml.safe_dump(whole.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)
    write_text(to, "\n".join(lines) + f"\n{text}")
    print(f"{to}: name it as `strategy` in a configuration")
