"""Is a candidate kept? What a night's comparisons show, and the risk and the allowance that they spend. Pure.

A candidate is screened on one run, which claims nothing, and then confirmed: runs on seeds that chose nothing, each
beside a run of the incumbent on the same seed. The evidence of the paired differences holds at every look
(lamarck/campaign/evidence.py), and a night has a fixed number of confirmations, each at its share of the night's risk:
by the union bound the chance that anything at all is kept in a night though it is no better is at most `risk`.

Equal and simpler is kept, too. What is shown then is that the candidate is worse by less than a margin (non-inferior:
the same evidence, of the differences plus the margin). Many small losses would add up, so a night has an allowance, and
every keep of that kind spends its margin from it.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from lamarck.campaign.evidence import MOST_GROWTH, bounds, centre, fewest_blocks, log_fortune
from lamarck.config.section import Section

DECIMALS = 9  # of a difference: metrics that mean the same must tie, whatever their last digit
FUTILE_AFTER = 2  # pairs: whoever is not ahead after these is let go

Claim = Literal["better", "simpler"]


class Rigor(Section):
    """How much chance a night may have, and what it spends on knowing better."""

    baseline_runs: int = Field(4, ge=2, description="Of the unmodified files, before anything is proposed.")
    risk: float = Field(0.05, gt=0, lt=1, description="Of keeping anything at all in a night that is no better.")
    confirmations: int = Field(20, ge=1, description="A night has so many; each takes an equal share of the risk.")
    pairs: int = Field(24, ge=1, description="The most runs, each beside one of the incumbent, of a confirmation.")
    screen: float = Field(
        0.25, ge=0, description="Standard deviations by which one run must be ahead for a confirmation."
    )

    @model_validator(mode="after")
    def _can_show_something(self) -> "Rigor":
        fewest = fewest_blocks(self.confirmations, self.risk)
        if self.pairs < fewest:
            raise ValueError(
                f"pairs: {self.pairs} can show nothing at a risk of {self.risk:g} over {self.confirmations} "
                f"confirmations: give at least {fewest}, or fewer confirmations"
            )
        return self

    @property
    def share(self) -> float:
        """The risk of one confirmation."""
        return self.risk / self.confirmations


class Simplicity(Section):
    """Equal and simpler is better. A margin of zero keeps nothing for being simple."""

    margin: float = Field(0.0, ge=0, description="In units of the metric: so much worse still counts as equal.")
    allowance: float = Field(0.0, ge=0, description="Margins of a night's keeps for simplicity add up to this at most.")
    fewer_nodes: int = Field(10, ge=1, description="Of the syntax tree: so many less count as simpler.")
    ugly_gain: float = Field(0.0, ge=0, description="In units of the metric: a smaller gain than this ...")
    ugly_nodes: int = Field(0, ge=0, description="... that adds more nodes than this is refused.")


class Finding(NamedTuple):
    """`decided`: True keeps, False does not, None: another pair, please. In units of the metric, more is better."""

    decided: bool | None
    why: str
    p_value: float


def passes_screen(score: float, incumbent: Sequence[float], sigma: float, rigor: Rigor, margin: float | None) -> bool:
    """Whether one run is worth a confirmation. `margin`: None where a gain is to be shown, else what may be lost."""
    reference = math.fsum(incumbent) / len(incumbent)
    needed = reference + rigor.screen * sigma if margin is None else reference - margin
    return score > needed


def confirm(differences: Sequence[float], rigor: Rigor, claim: Claim, margin: float) -> Finding:
    """What paired differences, candidate minus incumbent, show so far. `margin` is of the claim `simpler`."""
    import numpy as np

    shift = margin if claim == "simpler" else 0.0
    shifted = np.round(np.asarray(differences, dtype=float) + shift, DECIMALS)
    if len(shifted) == 0:
        return Finding(None, "", 1.0)
    fortune = log_fortune(shifted)
    most, now = float(fortune.max()), float(fortune[-1])
    p_value = min(1.0, math.exp(-most))
    needed = -math.log(rigor.share)
    shown = "better" if claim == "better" else f"worse by less than {margin:g}"
    if most >= needed:
        return Finding(True, f"{shown} on {len(shifted)} fresh seeds", p_value)
    left = rigor.pairs - len(shifted)
    if left == 0 or now + left * MOST_GROWTH < needed:
        return Finding(False, f"not shown to be {shown} on {len(shifted)} fresh seeds", p_value)
    if len(shifted) >= FUTILE_AFTER and float(shifted.mean()) <= 0:
        return Finding(False, f"not {shown} on {len(shifted)} fresh seeds", p_value)
    return Finding(None, "", p_value)


def estimate(differences: Sequence[float]) -> float | None:
    """The centre of the differences (Hodges and Lehmann); None without any."""
    import numpy as np

    return centre(np.asarray(differences, dtype=float)) if differences else None


def interval(differences: Sequence[float], rigor: Rigor) -> tuple[float | None, float | None]:
    """Of the centre: holds at all looks and for all of a night's confirmations together, each side at the risk."""
    import numpy as np

    return bounds(np.round(np.asarray(differences, dtype=float), DECIMALS), rigor.share)
