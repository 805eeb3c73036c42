"""Rounds of candidates, each a campaign against the baseline; then the winner on founders that chose nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lamarck.campaign.ledger import failed, read_ledger
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import Ask, next_members, run_campaign
from lamarck.errors import LamarckError
from lamarck.files import write_changed
from lamarck.gate.approval import Approver
from lamarck.search.file import BASELINE, Search, split
from lamarck.search.propose import Candidate, Result, propose

FINAL = "final"
FRESH = "The winner, on founders that chose nothing."


class Round(NamedTuple):
    """`campaign`: None where it has not begun. `results` are there once it is finished."""

    name: str
    candidates: list[Candidate]
    campaign: Campaign | None
    results: dict[str, Result]
    finished: bool


def run_search(search: Search, approver: Callable[[], Approver], ask: Ask, key: Path | None, jobs: int) -> None:
    """Go on until the winner has been tried on fresh founders. Everything is told by the ledgers, so a killed search
    goes on where it was. Errors: those of `run_campaign`; LamarckError where every candidate of a round failed."""
    write_changed(search.directory / f"{search.name}.yaml", search.content.decode("utf-8"))
    for each in rounds(search):
        if each.finished:
            continue
        seeds = search.file.fresh_seeds if each.name == FINAL else search.file.seeds_of(int(each.name[1:]))
        path = search.campaign_file(each.name)
        write_changed(path, _campaign_text(search, each.candidates, seeds, each.name))
        run_campaign(load_campaign(path), approver, ask, key, jobs)
        return run_search(search, approver, ask, key, jobs)


def rounds(search: Search) -> list[Round]:
    """Every round as far as its candidates are known, the final last."""
    found: list[Round] = []
    known: dict[str, Result] = {}
    for number in range(1, search.file.rounds + 1):
        each = _round(search, f"r{number}", propose(search.file, number, known))
        found.append(each)
        if not each.finished:
            return found
        if not each.results:
            raise LamarckError(f"every candidate of round {number} failed: logs/campaigns/{search.name}-r{number}.log")
        known |= each.results
    found.append(_round(search, FINAL, [winner(found[-1])]))
    return found


def winner(last: Round) -> Candidate:
    """Who leads the last round, of those that went to its end."""
    longest = max(result.seeds for result in last.results.values())
    staying = [result for result in last.results.values() if result.seeds == longest]
    return min(staying, key=lambda result: (-result.difference, result.candidate.name)).candidate


def _round(search: Search, name: str, candidates: list[Candidate]) -> Round:
    path = search.campaign_file(name)
    if not path.exists():
        return Round(name, candidates, None, {}, False)
    campaign = load_campaign(path)
    if [arm.name for arm in campaign.file.arms[1:]] != [each.name for each in candidates]:
        return Round(name, candidates, None, {}, False)
    done = read_ledger(campaign)
    results = {}
    for each in candidates:
        differences = [
            own.score - first.score
            for (arm, seed), own in done.items()
            if arm == each.name
            and (first := done.get((BASELINE, seed)))
            and first.score is not None
            and own.score is not None
        ]
        if differences and each.name not in failed(done):
            results[each.name] = Result(each, sum(differences) / len(differences), len(differences))
    return Round(name, candidates, campaign, results, not next_members(campaign))


def _campaign_text(search: Search, candidates: list[Candidate], seeds: tuple[int, ...], name: str) -> str:
    arms: list[dict[str, Any]] = [{"name": BASELINE, "why": "the strategy that is searched from"}]
    for each in candidates:
        strategy, config = split(each.values)
        arms.append({"name": each.name, "why": _why(each), "strategy": strategy, "config": config})
    for arm in arms:
        arm["config"] = search.file.config | arm.get("config", {})
        arm["scored"] = search.file.scored
    values = {
        "description": f"{search.file.description} {FRESH if name == FINAL else f'Round {name[1:]}.'}",
        "configfile": search.file.configfile,
        "seeds": list(seeds),
        "arms": arms,
        "keep": {} if name == FINAL else dict(search.file.keep),
        "failed_members": "leave out",
        "proxies": True,
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _why(candidate: Candidate) -> str:
    values = ", ".join(f"{name} {value}" for name, value in candidate.values.items())
    from_whom = f" from {' and '.join(candidate.parents)}" if candidate.parents else ""
    return f"{candidate.how}{from_whom}: {values}"
