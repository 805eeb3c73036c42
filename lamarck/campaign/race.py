"""The race of a campaign's arms: its ledger, as campaign/racing.py takes it."""

from collections.abc import Mapping

from lamarck.campaign.ledger import Finished, Key
from lamarck.campaign.members import Campaign
from lamarck.campaign.racing import Observation, Race, RaceRules, Withdrawal, race
from lamarck.errors import LamarckError


def rules_of(campaign: Campaign) -> RaceRules:
    """Errors: LamarckError where so few seeds can show nothing."""
    assert campaign.file.race
    first, *others = (arm.name for arm in campaign.file.arms)
    try:
        return RaceRules(
            incumbent=first,
            challengers=tuple(others),
            blocks=tuple(str(seed) for seed in campaign.file.seeds),
            risk=campaign.file.race.risk,
            look_every=campaign.file.race.look_every,
        )
    except ValueError as error:
        raise LamarckError(f"campaign {campaign.name}: {str(error).splitlines()[2].strip()}") from error


def race_of(campaign: Campaign, done: Mapping[Key, Finished]) -> Race:
    entries = [
        Withdrawal(candidate=arm, reason="it could not be raised")
        if row.score is None
        else Observation(candidate=arm, block=str(seed), score=row.score)
        for (arm, seed), row in done.items()
    ]
    return race(rules_of(campaign), entries)
