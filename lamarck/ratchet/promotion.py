"""What was kept beside the unmodified files, on seeds that chose nothing, at a larger size where one is named.

The differences of a night chose what was kept, so they flatter it; this one chose nothing, and may be quoted.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.gate.night import read_ratchet_plan
from lamarck.gate.ratchet import admitted
from lamarck.ratchet.file import Ratchet, load_ratchet
from lamarck.ratchet.laboratory import laboratory_of
from lamarck.ratchet.ledger import append, read_ledger
from lamarck.ratchet.night import PROMOTION, DecidedLine, Ran
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.plan import Subject, check_same, make_plan, read_subject, working_on
from lamarck.ratchet.rows import signed
from lamarck.ratchet.verdict import estimate
from lamarck.seeds import seed_for

RISK = 0.05  # of the interval: there is one comparison only


@dataclass(frozen=True)
class Promoted:
    """`difference`: of what was kept to the unmodified files; more is better. `low`, `high`: its
    bounds, each side at 5%; None: too few pairs to say."""

    metric: str
    pairs: int
    failed: int
    difference: float | None
    low: float | None
    high: float | None

    @property
    def holds(self) -> bool:
        return self.low is not None and self.low > 0

    @property
    def sentence(self) -> str:
        if self.difference is None:
            return f"every one of {self.failed} pairs failed"
        bounds = " to ".join(map(signed, (self.low, self.high)))
        verdict = "it holds" if self.holds else "not shown to hold"
        return f"{self.metric}: {self.difference:+.4g} ({bounds}; more is better) over {self.pairs} pairs: {verdict}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"holds": self.holds}


def promote(files: NightFiles, say: Callable[[str], None]) -> Promoted:
    """Go on until the file's pairs are done. They are part of the night, and of its approval and ceiling.

    Errors: LamarckError where nothing was kept, the metric was printed, the ceiling is spent, or the subject is in use.
    """
    ratchet = load_ratchet(Path(read_ratchet_plan(files.plan).config))
    if ratchet.file.trust == "printed":
        raise LamarckError(
            f"{ratchet.path} has `trust: printed`: what a subject says of itself is promoted nowhere; let it hand over "
            "what an evaluator scores (`trust: scored`)"
        )
    subject = read_subject(ratchet, files)
    with working_on(ratchet, subject):
        done = _run_pairs(ratchet, files, subject, say)
    return _told(ratchet.file.metric, ratchet.file.sign, ratchet.file.promotion.pairs, done)


def _run_pairs(ratchet: Ratchet, files: NightFiles, subject: Subject, say: Callable[[str], None]) -> list[Ran]:
    """All runs, those of earlier calls as well."""
    kept = kept_commit(files)
    promotion, budget = ratchet.file.promotion, ratchet.file.promotion.budget or ratchet.file.spending
    plan = make_plan(ratchet, files, subject)
    check_same(files, plan)
    permit = admitted(plan, ratchet.path)
    laboratory = laboratory_of(ratchet.file, files, subject)
    after = subject.repository.files(kept, list(ratchet.file.mutable_files))
    done = [line for line in read_ledger(files.promotion) if isinstance(line, Ran)]
    for pair, candidate in _left(promotion.pairs, done):
        if not permit.fits(budget.limit):
            raise LamarckError(f"the {permit.plan.device_seconds:g} device-seconds approved for the night are spent")
        seed = seed_for(ratchet.file.seed, PROMOTION, str(pair))
        mutable = after if candidate else subject.mutable
        with permit.experiment():
            outcome = laboratory.experiment(mutable, seed, budget, promotion.environment)
        line = Ran(proposal=0, candidate=candidate, stage="again", pair=pair, seed=seed, metric=outcome.metric,
                   seconds=round(outcome.seconds, 3), failure=outcome.failure)  # fmt: skip
        append(files.promotion, line)
        done.append(line)
        shown = outcome.failure or f"{outcome.metric:.6f}"
        say(f"pair {pair + 1}, {'kept' if candidate else 'unmodified'}: {shown} ({outcome.seconds:.1f} s)")
    return done


def _left(pairs: int, done: Iterable[Ran]) -> list[tuple[int, bool]]:
    """Runs that are not done yet, (pair, of what was kept): who of a pair goes first alternates."""
    known = {(line.pair, line.candidate) for line in done}
    order = [(pair, candidate) for pair in range(pairs) for candidate in (pair % 2 == 0, pair % 2 == 1)]
    return [each for each in order if each not in known]


def kept_commit(files: NightFiles) -> str:
    """The last commit that a night kept. Errors: LamarckError where it kept nothing."""
    lines = read_ledger(files.ledger)
    kept = [line.commit for line in lines if isinstance(line, DecidedLine) and line.status == "keep"]
    if not kept:
        raise LamarckError(f"the night {files.tag} kept nothing, so there is nothing to promote")
    return kept[-1]


def promoted(files: NightFiles) -> Promoted | None:
    """What that came to, by its ledger; None before all of its pairs are done."""
    file = load_ratchet(files.file).file
    done = [line for line in read_ledger(files.promotion) if isinstance(line, Ran)]
    if _left(file.promotion.pairs, done):
        return None
    return _told(file.metric, file.sign, file.promotion.pairs, done)


def _told(metric: str, sign: int, pairs: int, done: list[Ran]) -> Promoted:
    import numpy as np

    from lamarck.campaign.evidence import bounds

    found = {(line.pair, line.candidate): line.metric for line in done}
    differences = [
        sign * (own - other)
        for pair in range(pairs)
        if (own := found[pair, True]) is not None and (other := found[pair, False]) is not None
    ]
    low, high = bounds(np.asarray(differences), RISK) if differences else (None, None)
    return Promoted(metric, len(differences), pairs - len(differences), estimate(differences), low, high)
