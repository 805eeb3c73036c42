"""`lamarck verify`: is everything there, whole, and made from what lies beside it?"""

import json
from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.files import every_byte_read
from lamarck.lineage.artifacts import CAMPAIGN_RESULT
from lamarck.lineage.dvc import not_pulled
from lamarck.lineage.freshness import BROKEN, MISSING, Artifact, survey, survey_campaigns, survey_crosses
from lamarck.lineage.generation import RESULTS
from lamarck.lineage.kind import OLDER

RESTORE = "restore it with `dvc pull`, or let `snakemake` make it again"


def show(config_path: Path, as_json: bool) -> None:
    """Print what was checked. Errors: LamarckError that names the first artifact that does not hold."""
    with every_byte_read():
        config = load_config(config_path)
        artifacts = [*survey(config), *survey_crosses(config), *survey_campaigns(config)]
        shown = {
            str(CAMPAIGN_RESULT.path(name).relative_to(RESULTS)): CAMPAIGN_RESULT.why_stale(name)
            for name in CAMPAIGN_RESULT.made_here()
        }
    broken = {str(each.relative_to(RESULTS)): MISSING for each in not_pulled()}
    broken |= {artifact.name: reason for artifact, reason in _broken(artifacts)}
    broken |= {name: reason for name, reason in shown.items() if reason and reason != OLDER}
    there = [artifact for artifact in artifacts if artifact.state not in ("absent", "missing")]
    outdated = {each.name: each.reason for each in there if each.state == "outdated" and each.name not in broken}
    outdated |= {name: reason for name, reason in shown.items() if reason == OLDER}
    checked = len(there) + len(shown)
    if as_json:
        print(json.dumps({"checked": checked, "broken": broken, "outdated": outdated}, indent=2, sort_keys=True))
    if broken:
        name, reason = next(iter(broken.items()))
        raise LamarckError(f"results/{name} does not hold ({len(broken)} such in all): {reason}; {RESTORE}")
    if not as_json:
        for name, reason in outdated.items():
            print(f"outdated, its bytes unchanged: results/{name}: {reason}")
        print(f"{checked} artifacts match their records")


def _broken(artifacts: list[Artifact]) -> list[tuple[Artifact, str]]:
    """What is damaged or incomplete, and what was made from another thing than the one that lies here."""
    return [(artifact, artifact.reason) for artifact in artifacts if artifact.state in BROKEN or artifact.torn]
