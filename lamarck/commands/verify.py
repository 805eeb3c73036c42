"""`lamarck verify`: does every artifact still have the bytes that its record states?"""

import json
from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.lineage.freshness import BYTES_DIFFER, survey


def show(config_path: Path, as_json: bool) -> None:
    """Print what was checked. Errors: LamarckError that names the first artifact whose bytes differ."""
    artifacts = survey(load_config(config_path))
    differing = [artifact.name for artifact in artifacts if artifact.stale == BYTES_DIFFER]
    there = [artifact for artifact in artifacts if all(path.exists() for path in artifact.files)]
    outdated = {artifact.name: artifact.stale for artifact in there if artifact.stale not in (None, BYTES_DIFFER)}
    if as_json:
        print(json.dumps({"checked": len(there), "differ": differing, "outdated": outdated}, indent=2, sort_keys=True))
    if differing:
        raise LamarckError(
            f"results/{differing[0]} is not what its record says ({len(differing)} such in all): "
            "restore it with `dvc checkout`, or let `snakemake` make it again"
        )
    if not as_json:
        for name, reason in outdated.items():
            print(f"outdated, its bytes unchanged: results/{name}: {reason}")
        print(f"{len(there)} artifacts match their records")
