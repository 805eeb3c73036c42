"""What there is: generations that lie under results/, lineages that are described there, campaigns. Light."""

import re
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.lineage.generation import (
    ALL_STEPS,
    CAMPAIGNS,
    RESULTS,
    CampaignStep,
    Generation,
    described,
    parse_generation,
)

SHIPPED_CAMPAIGNS = Path("config/campaigns")


def campaigns_here() -> list[str]:
    """Names of the campaigns that have run here."""
    return sorted(path.stem for path in (RESULTS / CAMPAIGNS).glob("*/*.yaml") if path.stem == path.parent.name)


def campaign_file(name: str) -> Path:
    """A campaign's file: as it last ran here, else as it ships, whose ledger may be here. Errors: LamarckError."""
    for path in (CampaignStep(name, ALL_STEPS).file, SHIPPED_CAMPAIGNS / f"{name}.yaml"):
        if path.exists():
            return path
    known = ", ".join(campaigns_here()) or "none"
    raise LamarckError(
        f"no campaign {name!r} has run here (there is: {known}), and {SHIPPED_CAMPAIGNS} has none of that name: "
        "`lamarck campaign run FILE`"
    )


def generations_in(directory: Path) -> list[Generation]:
    """Every generation that has a directory below this one of results/, in the order of their lineages."""
    names = {path.relative_to(RESULTS).as_posix() for path in directory.rglob("g*") if path.is_dir()}
    found = [parse_generation(name) for name in names if re.fullmatch(r"(?:[\w-]+/)*g\d+", name)]
    return sorted(found, key=lambda each: (each.lineage, each.number))


def described_lineages() -> list[str]:
    """Ids of the lineages that have a description: each behind those that its founder and its parents are of."""
    ids = sorted(path.parent.relative_to(RESULTS).as_posix() for path in RESULTS.glob("**/lineage.yaml"))
    ordered: dict[str, None] = {}
    seen = set[str]()

    def visit(lineage: str) -> None:
        if lineage in seen or lineage not in ids:
            return
        seen.add(lineage)
        said = described(lineage)
        named = [parse_generation(name).planned_by.lineage for parents in said.parents.values() for name in parents]
        for below in (said.founder, *named):
            visit(below)
        ordered[lineage] = None

    for each in ids:
        visit(each)
    return list(ordered)


def crossed_generations() -> list[Generation]:
    """Every child of two parents that is described, control arms left out."""
    return [
        Generation(number, lineage)
        for lineage in described_lineages()
        for number, parents in sorted(described(lineage).parents.items())
        if len(parents) > 1
    ]


def sharing_generations() -> list[Generation]:
    """Every generation, control arms left out, whose curriculum is written for another."""
    return [Generation(number, lineage) for lineage in described_lineages() for number in described(lineage).curricula]
