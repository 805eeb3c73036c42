"""One question for all rounds of a search whose founders are pretrained here: what may be tried, and how much of it."""

from collections.abc import Callable, Iterable
from pathlib import Path

from lamarck.files import digest_bytes, digest_value, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.approve import answer_once
from lamarck.gate.check import asked_of_search
from lamarck.gate.planned import plan_text
from lamarck.gate.search import PROMPTS, Freedom, PlannedRound, SearchPlan, fixed_recipe, fixed_strategy, taught
from lamarck.lineage.digest import suite_digest
from lamarck.lineage.generation import APPROVALS, SEARCHES
from lamarck.search.file import Search
from lamarck.search.space import Key

# Shows the plan of a search, and returns the short digest that a human typed.
AskOnce = Callable[[SearchPlan], str]


def search_plan(search: Search, rounds: Iterable[PlannedRound]) -> SearchPlan:
    """`rounds`: all that may ever be raised for it, in their order."""
    space = {name: freedom_of(key) for name, key in search.file.space.items()}
    if search.file.writer:
        space[PROMPTS] = Freedom(written=True)
    rounds = tuple(rounds)
    base = search.base
    return SearchPlan(
        search=search.whole,
        command="study" if search.study else "run",
        description=search.file.description,
        file=digest_bytes(search.content),
        founder=base.founder.digest(),
        engine=base.engine.digest(),
        suite=suite_digest(Path(base.suite)),
        machine=digest_value(list(base.machines.train.place)),
        baseline=taught(search.strategy, base),
        strategy=fixed_strategy(search.strategy, space),
        recipe=fixed_recipe(base, space),
        space=space,
        rounds=rounds,
        trainings=sum(each.trainings for each in rounds),
        device_seconds=sum(each.device_seconds for each in rounds),
    )


def largest_rounds(search: Search) -> list[PlannedRound]:
    """The largest set of members of every round that chooses."""
    file = search.file
    return [
        largest(search, f"r{number}", 1 + file.candidates, file.seeds_of(number), file.read_in_rounds)
        for number in range(1, file.rounds + 1)
    ]


def largest_final(search: Search) -> PlannedRound:
    """The winner beside the baseline, on founders that chose nothing."""
    return largest(search, "final", 2, search.file.fresh_seeds, int(search.file.scored[1:]))


def largest(search: Search, which: str, arms: int, seeds: tuple[int, ...], generations: int) -> PlannedRound:
    members = arms * len(seeds)
    each = 1 + search.base.control  # its control arm, too
    ceilings = sum(search.base.budget.of(number) for number in range(1, generations + 1))
    return PlannedRound(
        campaign=search.campaign_file(which).stem,
        seeds=seeds,
        members=members,
        trainings=members * generations * each,
        device_seconds=members * ceilings * each,
    )


def ask_once(
    plan: SearchPlan, directory: Path, approver: Callable[[], Approver], ask: AskOnce, key: Path | None
) -> None:
    """Go on under the approval that is there, or write the one that a human gives now.

    Errors: LamarckError, and nothing written, when the digest typed is not the plan's."""
    path = APPROVALS / f"{SEARCHES}/{plan.search}.ok"
    file = directory / f"{plan.search}.yaml"
    answer_once(asked_of_search(plan), file, path, lambda: ask(plan), approver, f"search {plan.search}", key)
    write_text(directory / "plan.json", plan_text(plan))


def freedom_of(key: Key) -> Freedom:
    return Freedom(of=key.of) if key.kind == "choice" else Freedom(low=key.low, high=key.high)
