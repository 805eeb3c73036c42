"""Rounds of candidates, each a campaign against the baseline; then the winner on founders that chose nothing."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lamarck.campaign.ledger import Finished, Key, failed, read_ledger
from lamarck.campaign.members import Campaign, campaign_of, load_campaign
from lamarck.campaign.run import Ask, next_members, run_campaign
from lamarck.config.prompts import Prompts, load_prompts
from lamarck.curriculum.refused import RejectedLine, read_refused, refused_path
from lamarck.errors import LamarckError
from lamarck.files import write_changed, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.search import PROMPTS
from lamarck.lineage.contents import read_scores
from lamarck.run_lock import holding
from lamarck.search.approval import AskOnce, ask_once, largest_final, largest_rounds, search_plan
from lamarck.search.file import BASELINE, Search, split
from lamarck.search.propose import Candidate, Result, centred, propose
from lamarck.search.writer import asked, rewrite
from lamarck.seeds import seed_for

FINAL = "final"
FRESH = "The winner, on founders that chose nothing."


class Round(NamedTuple):
    """`campaign`: None where it has not begun. `results` are there once it is finished."""

    name: str
    candidates: list[Candidate]
    campaign: Campaign | None
    results: dict[str, Result]
    finished: bool


def run_search(
    search: Search, approver: Callable[[], Approver], ask: Ask, ask_all: AskOnce, key: Path | None, jobs: int
) -> None:
    """Go on until the winner, and what random draws find at equal cost, have been tried on fresh founders.

    Everything is told by the ledgers, so a killed search goes on where it was. A human is asked once, `ask_all`, where
    the founders are pretrained here, and else once a step of a round, `ask`. Errors: those of `run_campaign`;
    LamarckError where every candidate of a round failed, or another process is at work on it."""
    with holding(search.directory / "lock", f"another process is at work on the search {search.name}"):
        write_changed(search.directory / f"{search.name}.yaml", search.content.decode("utf-8"))
        if search.at_once:
            largest = [each for part in search.parts for each in (*largest_rounds(part), largest_final(part))]
            ask_once(search_plan(search, largest), search.directory, approver, ask_all, key)
        for part in search.parts:
            while not (each := rounds(part)[-1]).finished:
                raise_round(part, each, approver, ask, key, jobs)


def raise_round(
    search: Search, each: Round, approver: Callable[[], Approver], ask: Ask, key: Path | None, jobs: int
) -> None:
    """Write down the campaign of one round, and prompts where a model has to write some, and run it to its end."""
    write_prompts(search, each)
    path = search.campaign_file(each.name)
    write_changed(path, campaign_text(search, each.candidates, founders(search, each.name), each.name))
    run_campaign(load_campaign(path), approver, ask, key, jobs)


def write_prompts(search: Search, each: Round) -> None:
    """Have the prompts written that candidates of this round need, and that are not there yet."""
    missing = {
        candidate.name: candidate
        for candidate in each.candidates
        if candidate.values.get(PROMPTS) == str(search.prompts / f"{candidate.name}.yaml")
        and not (search.prompts / f"{candidate.name}.yaml").exists()
    }
    if not missing or search.file.writer is None:
        return
    # torch, where the engine is here, and what reads every suite.
    from lamarck.curriculum.suite_overlap import contaminations, kept_out
    from lamarck.engine import load_engine, prepare_libraries

    prepare_libraries(search.base.engine.threads)
    engine = load_engine(search.base.engine, Path(search.file.writer.model), None)
    held_out = kept_out(contaminations(Path(search.base.suite)))
    before = [found for found in rounds(search) if found.campaign and found.name != each.name]
    for name, candidate in missing.items():
        parent = candidate.parents[0]
        own = next(found.values for one in before for found in one.candidates if found.name == parent)
        named = own.get(PROMPTS) or search.strategy.prompts
        prompts = load_prompts(Path(str(named))) if named else Prompts()
        request = asked(prompts, *_evidence([one.campaign for one in before if one.campaign], parent))
        made = rewrite(
            search.file.writer, engine, prompts, request, held_out, seed_for(search.file.seed, "prompts", name)
        )
        values = made.model_dump(mode="json", exclude_defaults=True)
        write_text(search.prompts / f"{name}.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _evidence(campaigns: Sequence[Campaign], arm: str) -> tuple[list[RejectedLine], dict[str, float]]:
    """What teachers under a candidate had refused, and the points that it lost to the baseline, task by task."""
    refused: list[RejectedLine] = []
    lost: dict[str, list[float]] = {}
    for campaign in campaigns:
        for name, seed in campaign.lineages:
            if name != arm:
                continue
            own, first = campaign.read_off(arm, seed), campaign.read_off(BASELINE, seed)
            for taught in own.ancestors:
                if taught.number and refused_path(taught.curriculum).exists():
                    refused += read_refused(taught)
            if campaign.scores_of(own).exists() and campaign.scores_of(first).exists():
                tasks, others = (read_scores(campaign.scores_of(one)).tasks for one in (own, first))
                for task in tasks.keys() & others.keys():
                    lost.setdefault(task, []).append(tasks[task].score - others[task].score)
    return refused, {task: sum(each) / len(each) for task, each in lost.items()}


def rounds(search: Search) -> list[Round]:
    """Every round as far as its candidates are known; the final comes last, and a study has one of its own."""
    found: list[Round] = []
    for number in range(1, search.file.rounds + 1):
        each = _round(search, f"r{number}", propose(search.file, [each.results for each in found], search.prompts))
        found.append(each)
        if not each.finished:
            return found
        if not each.results:
            raise LamarckError(f"every candidate of round {number} failed: logs/campaigns/{search.name}-r{number}.log")
    if not search.study:
        found.append(_round(search, FINAL, [winner(search, found)]))
    return found


def winner(search: Search, found: Sequence[Round]) -> Candidate:
    """What was found: with CMA-ES the centre of its distribution, else who leads, of those that went to the end of a
    round: of any where each round draws anew, else of the last one, into which leaders were taken along."""
    asked = found if search.file.proposer == "random" else found[-1:]
    results = [result for each in asked for result in each.results.values()]
    longest = max(result.seeds for result in results)
    staying = [result for result in results if result.seeds == longest]
    leader = min(staying, key=lambda result: (-result.difference, result.candidate.name)).candidate
    if search.file.proposer != "cma":
        return leader
    return centred(search.file, [each.results for each in found], leader)


def _round(search: Search, name: str, candidates: list[Candidate]) -> Round:
    campaign = begun(search, name, candidates)
    if campaign is None:
        return Round(name, candidates, None, {}, False)
    done = read_ledger(campaign)
    results = {}
    for each in candidates:
        own = differences(done, each.name)
        if own and each.name not in failed(done):
            results[each.name] = Result(each, sum(own) / len(own), len(own))
    return Round(name, candidates, campaign, results, not next_members(campaign))


def begun(search: Search, name: str, candidates: Sequence[Candidate]) -> Campaign | None:
    """The campaign of a round, or of `final`, as far as it is known here: it was written down, or the ledger that a
    study brings along has members of it, which were raised elsewhere."""
    path = search.campaign_file(name)
    if path.exists():
        campaign = load_campaign(path)
        same = [arm.name for arm in campaign.file.arms[1:]] == [each.name for each in candidates]
        return campaign if same else None
    if not search.study:
        return None
    campaign = campaign_of(path, campaign_text(search, candidates, founders(search, name), name).encode())
    return campaign if read_ledger(campaign) else None


def differences(done: Mapping[Key, Finished], arm: str) -> list[float]:
    """Of the scores of an arm to the baseline's, founder by founder, in points."""
    return [
        own.score - first.score
        for (name, seed), own in done.items()
        if name == arm and own.score is not None and (first := done.get((BASELINE, seed))) and first.score is not None
    ]


def founders(search: Search, name: str) -> tuple[int, ...]:
    """The seeds of a round, or of `final`."""
    return search.file.fresh_seeds if name == FINAL else search.file.seeds_of(int(name[1:]))


def campaign_text(search: Search, candidates: Sequence[Candidate], seeds: tuple[int, ...], name: str) -> str:
    """The campaign of a round, or of `final`, whose figures choose nothing."""
    final = name == FINAL
    number = int(search.file.scored[1:]) if final else search.file.read_in_rounds
    arms: list[dict[str, Any]] = [
        {"name": BASELINE, "why": "the strategy that is searched from", "scored": f"g{number}"}
    ]
    for each in candidates:
        strategy, config = split(each.values)
        arm = {"name": each.name, "why": _why(each), "strategy": strategy, "config": config, "scored": f"g{number}"}
        arms.append(arm)
    values: dict[str, Any] = {
        "description": f"{search.file.description} {FRESH if final else f'Round {name[1:]}.'}",
        "configfile": search.file.configfile,
        "config": search.file.config | {"generations": number},
        "seeds": list(seeds),
        "arms": arms,
        "keep": {} if final else dict(search.file.keep),
        "failed_members": "leave out",
        "proxies": not final,
        "exam": search.file.exam if final else None,
        "ledger": search.ledger,
        "search": search.whole if search.at_once else None,
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _why(candidate: Candidate) -> str:
    values = ", ".join(f"{name} {value}" for name, value in candidate.values.items())
    from_whom = f" from {' and '.join(candidate.parents)}" if candidate.parents else ""
    return f"{candidate.how}{from_whom}: {values}"
