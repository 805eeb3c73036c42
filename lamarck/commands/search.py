"""`lamarck search run|status|report|adopt`: strategies bred for their grandchildren."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text
from rich.tree import Tree

from lamarck import output, strict_yaml
from lamarck.commands.campaign import asking, write_between
from lamarck.commands.typed_digest import Typed, typed_for
from lamarck.config.section import check_section
from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError
from lamarck.files import write_changed, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.planned import plan_digest
from lamarck.gate.search import RECIPE, SearchPlan
from lamarck.lineage.configured import merged
from lamarck.lineage.digest import short
from lamarck.lineage.generation import RESULTS, SEARCHES
from lamarck.output import tell
from lamarck.search.approval import AskOnce
from lamarck.search.file import DRAWN, Search, load_search, split
from lamarck.search.run import rounds, run_search

if TYPE_CHECKING:
    from lamarck.search.report import Node


def run(
    path: Path,
    approver: Callable[[], Approver],
    typed_digest: Typed,
    key: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Ask, run, and print the report. Errors: those of `run_search`."""
    search = load_search(path)
    console = output.console(stderr=as_json)
    run_search(search, approver, asking(console, typed_digest), asking_once(console, typed_digest), key, jobs)
    report(search, as_json)


def asking_once(console: Console, typed_digest: Typed) -> AskOnce:
    """How a human is asked about all rounds: `typed_digest` is the answer, or a function that shows a question."""

    def ask(plan: SearchPlan) -> str:
        tell(console, plan.description)
        for key, freedom in plan.space.items():
            tell(console, f"  {key:<28} {freedom}")
        for each in plan.rounds:
            seeds = ", ".join(map(str, each.seeds))
            tell(console, f"  {each.campaign:<28} at most {each.members} lineages, on the seeds {seeds}")
        tell(
            console,
            f"All of these rounds: at most {plan.trainings} training runs, with ceilings of "
            f"{plan.device_seconds / 3600:.1f} device-hours in all. What a round tries hangs on the one before, and "
            f"comes from the space above. Its short digest: {short(plan_digest(plan))}.",
        )
        return typed_for(plan, typed_digest)

    return ask


def named(name: str) -> Search:
    """The search as it last ran. Errors: LamarckError where none of that name has."""
    path = RESULTS / SEARCHES / name / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(each.name for each in (RESULTS / SEARCHES).glob("*"))) or "none"
        raise LamarckError(f"no search {name!r} has run here (there is: {known}): `lamarck search run FILE`")
    return load_search(path)


def status(search: Search, as_json: bool) -> None:
    """How far it is, round by round."""
    found = [
        {
            "round": each.name if part is search else f"{DRAWN} {each.name}",
            "candidates": len(each.candidates),
            "state": "finished" if each.finished else "under way" if each.campaign else "to come",
        }
        for part in search.parts
        for each in rounds(part)
    ]
    if as_json:
        print(json.dumps({"search": search.name, "rounds": found}, indent=2))
        return
    console = output.console()
    tell(console, f"{search.name}: {search.file.rounds} rounds, then the winner on fresh founders")
    for each in found:
        tell(console, f"  {each['round']:<12} {each['candidates']} candidates, {each['state']}")


def report(search: Search, as_json: bool) -> None:
    """Candidates with what was changed, and the winner's figure on founders that chose nothing."""
    from lamarck.search import report as made  # scipy: half a second

    found = made.report(search)
    page = search.directory / "report.md"
    write_changed(page, made.as_markdown(search, found))
    if as_json:
        print(json.dumps(made.as_json(search, found), indent=2))
        return
    console = output.console()
    descent = Tree(Text(f"{search.name}: points to the baseline, {search.base.strategy}"))
    _grow(descent, made.tree(found))
    console.print(descent)
    tell(console, made.FLATTERED)
    tell(console, made.winner_sentence(search, found))
    tell(console, made.drawn_sentence(search, found))
    for sentence in made.winner_words(search, found):
        tell(console, f"  {sentence}")
    tell(console, made.proxy_sentence(found))
    tell(console, f"{made.budget_sentence(found)} The same is {page}.")


def _grow(descent: Tree, nodes: Iterable["Node"]) -> None:
    from lamarck.search.report import described

    for each in nodes:
        _grow(descent.add(Text(described(each))), each.children)


def study(
    path: Path,
    approver: Callable[[], Approver],
    typed_digest: Typed,
    key: Path | None,
    jobs: int,
    document: Path | None,
    only_report: bool,
    as_json: bool,
) -> None:
    """Ask once, go on with the study, and print what it shows. Errors: those of `run_study`."""
    from lamarck.search.study import load_study, progress, run_study

    found = load_study(path)
    console = output.console(stderr=as_json)
    if not only_report:
        run_study(found, approver, asking(console, typed_digest), asking_once(console, typed_digest), key, jobs)
    from lamarck.search import study_report as made  # scipy: half a second

    shown = made.study_report(found, progress(found))
    if document:
        write_between(document, f"study {found.name}", made.as_markdown(shown))
    if as_json:
        print(json.dumps(made.as_json(found, shown), indent=2))
        return
    output.console().print(Markdown(made.as_markdown(shown)))
    tell(output.console(), f"{found.file.ledger} has the finished members.")


def adopt(search: Search, to: Path) -> None:
    """Write the winner's strategy, with its evidence, where configurations can name it.

    Errors: LamarckError before the final is finished, and where there is such a file, or one for its prompts.
    """
    from lamarck.search import report as made

    found = made.report(search)
    if not found.finished or found.winner is None or found.winner_values is None:
        raise LamarckError(f"search {search.name} is not finished: `lamarck search run FILE` goes on with it")
    if to.exists():
        raise LamarckError(f"{to} is there already: name another file with --to")
    strategy, config = split(found.winner_values)
    values = strict_yaml.load(Path(search.base.strategy))
    whole = check_section(merged(values, strategy), Strategy, str(to))
    lines = [
        f"# Found by the search {search.name}, from {search.base.strategy}.",
        *(f"# {sentence}" for sentence in (made.winner_sentence(search, found), *made.winner_words(search, found))),
    ]
    if config:
        recipe = ", ".join(f"{name.removeprefix(RECIPE)} {value}" for name, value in config["recipe"].items())
        lines.append(f"# It was found together with this recipe: {recipe}.")
    if (written := strategy.get("prompts")) and Path(written).parent == search.prompts:
        prompts = to.parent.parent / "prompts" / to.name  # what lies in results/ may be deleted
        if prompts.exists():
            raise LamarckError(
                f"{prompts} is there already, and the winner's prompts would go there: give another --to"
            )
        write_text(prompts, Path(written).read_text(encoding="utf-8"))
        whole = whole.model_copy(update={"prompts": str(prompts)})
    text = yaml.safe_dump(whole.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)
    write_text(to, "\n".join(lines) + f"\n{text}")
    print(f"{to}: name it as `strategy` in a configuration")
