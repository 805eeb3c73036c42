"""The ledger of a campaign: a line for every finished member, appended and never changed. Light.

A line counts for the member whose digest it names, wherever and whenever it was raised: so a campaign goes on anywhere
that its ledger is, and its table says how many of its members it holds.
"""

import datetime
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from lamarck.campaign.behaviour import Behaviour, behaviour_of
from lamarck.campaign.members import Campaign
from lamarck.errors import LamarckError
from lamarck.files import digest_file, read_jsonl, write_jsonl
from lamarck.lineage.contents import TrainingReport, read_scores, read_training
from lamarck.lineage.flags import cut_short_among
from lamarck.lineage.generation import TRAINING_RECORD, Generation
from lamarck.lineage.records import code_state, read_record

Key = tuple[str, int]  # arm, seed


class Finished(BaseModel):
    """One member's score; None where it could not be raised. `member` is its digest, `scores` that of its eval.json;
    `device_seconds` are those of all trainings of its line, `cut_short` the sentences about those that their ceiling
    ended; `proxy` is its parent's score, where the campaign asks for it. `wall_seconds` passed for each of those that
    were raised with it, founders and the starts of programs included: what is still to come takes about as long.
    `bits_per_byte` and `optimizer_bytes` are what its evaluation and its own training say, where they do; `behaviour`
    and `others`, in points, what `behaviour_of` says, where the campaign asks for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arm: str
    seed: int
    generation: str
    member: str
    score: FiniteFloat | None
    proxy: FiniteFloat | None = None
    scores: str | None
    device_seconds: FiniteFloat
    wall_seconds: FiniteFloat | None = None
    bits_per_byte: FiniteFloat | None = Field(None, exclude_if=lambda value: value is None)
    optimizer_bytes: int | None = Field(None, exclude_if=lambda value: value is None)
    behaviour: FiniteFloat | None = Field(None, exclude_if=lambda value: value is None)
    others: FiniteFloat | None = Field(None, exclude_if=lambda value: value is None)
    cut_short: tuple[str, ...]
    machine: str
    commit: str | None
    date: datetime.date


def read_ledger(campaign: Campaign) -> dict[Key, Finished]:
    """The finished members of this very campaign. Errors: LamarckError for a line that is not valid, or for two
    different scores of one member."""
    keys: dict[str, list[Key]] = {}  # arms that come to the same are one member
    for key in campaign.lineages:
        keys.setdefault(campaign.member_digest(*key), []).append(key)
    found: dict[Key, Finished] = {}
    for row in _rows(campaign.ledger):
        for key in keys.get(row.member, ()):
            if key in found and found[key].score != row.score:
                raise LamarckError(
                    f"{campaign.ledger} has two scores of {row.arm} on seed {row.seed}, {found[key].score} and "
                    f"{row.score}: find out which machine is at fault, and remove its line"
                )
            found[key] = row
    return found


def failed(done: Mapping[Key, Finished]) -> set[str]:
    """The arms that could not be raised."""
    return {arm for (arm, _), row in done.items() if row.score is None}


def _rows(path: Path) -> list[Finished]:
    if not path.exists():
        return []
    rows = []
    for number, values in read_jsonl(path):
        try:
            rows.append(Finished.model_validate(values))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise LamarckError(f"{path}, line {number}: {place}: {first['msg']}: restore the ledger") from error
    return rows


def append(campaign: Campaign, members: Iterable[Key], wall_seconds: float | None = None) -> None:
    """Enter members whose scores are there. Errors: LamarckError where one was scored only in part."""
    added = [_finished(campaign, arm, seed) for arm, seed in members]
    _write(campaign, [row.model_copy(update={"wall_seconds": wall_seconds}) for row in added])


def append_failed(campaign: Campaign, members: Iterable[Key]) -> None:
    """Enter members that could not be raised. To have one tried again, remove its line."""
    _write(campaign, [_row(campaign, *key, score=None, scores=None) for key in members])


def _write(campaign: Campaign, added: list[Finished]) -> None:
    write_jsonl(campaign.ledger, [row.model_dump(mode="json") for row in (*_rows(campaign.ledger), *added)])


def _finished(campaign: Campaign, arm: str, seed: int) -> Finished:
    generation = campaign.read_off(arm, seed)
    path = campaign.scores_of(generation)
    scores = read_scores(path)
    if scores.score is None:
        raise LamarckError(f"{path} is partial: errors are not scores, and are never compared")
    proxy = campaign.proxy_of(arm, seed)
    shown = _behaviour(campaign, arm, seed, path)
    return _row(
        campaign,
        arm,
        seed,
        score=scores.score,
        proxy=read_scores(proxy.scores).score if proxy else None,
        scores=digest_file(path),
        bits_per_byte=scores.bits_per_byte,
        optimizer_bytes=_optimizer_bytes(generation),
        behaviour=shown.held if shown else None,
        others=shown.others if shown else None,
        device_seconds=_trained_seconds(generation),
        cut_short=tuple(cut_short_among(generation.ancestors)),
    )


def _row(
    campaign: Campaign,
    arm: str,
    seed: int,
    score: float | None,
    scores: str | None,
    proxy: float | None = None,
    bits_per_byte: float | None = None,
    optimizer_bytes: int | None = None,
    behaviour: float | None = None,
    others: float | None = None,
    device_seconds: float = 0.0,
    cut_short: tuple[str, ...] = (),
) -> Finished:
    return Finished(
        arm=arm,
        seed=seed,
        generation=campaign.read_off(arm, seed).name,
        member=campaign.member_digest(arm, seed),
        score=score,
        proxy=proxy,
        scores=scores,
        bits_per_byte=bits_per_byte,
        optimizer_bytes=optimizer_bytes,
        behaviour=behaviour,
        others=others,
        device_seconds=device_seconds,
        cut_short=cut_short,
        machine=processor(),
        commit=code_state().commit,
        date=datetime.datetime.now(datetime.UTC).date(),
    )


def _behaviour(campaign: Campaign, arm: str, seed: int, scores: Path) -> Behaviour | None:
    name = campaign.file.behaviour
    if name is None:
        return None
    samples = campaign.scores_kind().paths(campaign.read_off(arm, seed))["samples"]
    return behaviour_of(name, campaign.lineages[arm, seed].strategy, scores, samples)


def _trained_seconds(generation: Generation) -> float:
    records = [read_record(each.change / TRAINING_RECORD) for each in generation.ancestors if each.number]
    return round(sum(record.device_seconds for record in records), 3)


def _optimizer_bytes(generation: Generation) -> int | None:
    """What the optimizer held of it in its own training; None for a founder, and for a child of two parents."""
    if not generation.number or generation.is_crossed:
        return None
    training = read_training(generation.change / TRAINING_RECORD)
    return training.optimizer_bytes if isinstance(training, TrainingReport) else None


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
