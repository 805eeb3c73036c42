"""`lamarck pods`: what this project has left running on RunPod, and the end of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from lamarck import output
from lamarck.errors import LamarckError

if TYPE_CHECKING:
    from snakemake_executor_plugin_runpod.api import Client, PodInfo


def show(name: str | None, as_json: bool) -> None:
    """Every pod with the project's tag, started here or elsewhere."""
    with _account() as client:
        rows = [_row(pod) for pod in _tagged(client, name)]
    if as_json:
        print(json.dumps(rows, indent=2, sort_keys=True))
    elif rows:
        output.console().print(_table(rows))
        print("End one with `lamarck pods end ID`, or all with `lamarck pods end --all`.")
    else:
        print("No pod of this project is running.")


def end(identifier: str | None, everything: bool, name: str | None) -> None:
    """Errors: LamarckError where `identifier` is not a pod of this project, or RunPod does not do it."""
    if (identifier is None) != everything:
        raise LamarckError("say which pod: `lamarck pods end ID`, or `lamarck pods end --all`")
    with _account() as client:
        pods = _tagged(client, name)
        chosen = pods if everything else [pod for pod in pods if pod.id == identifier]
        if not everything and not chosen:
            raise LamarckError(f"{identifier} is not a pod of this project: `lamarck pods` lists them")
        for pod in chosen:
            client.delete(pod.id)
            print(f"ended {pod.id} ({pod.name})")
    if not chosen:
        print("No pod of this project is running.")


@contextmanager
def _account() -> Iterator["Client"]:
    try:
        from snakemake_executor_plugin_runpod.api import client_from_environment
        from snakemake_executor_plugin_runpod.errors import RunPodError
    except ImportError as error:
        raise LamarckError(
            "the RunPod executor is not installed: pip install ./plugins/snakemake-executor-plugin-runpod"
        ) from error
    try:
        yield client_from_environment()
    except RunPodError as error:
        raise LamarckError(str(error)) from error


def _tagged(client: "Client", name: str | None) -> list["PodInfo"]:
    from snakemake_executor_plugin_runpod.tag import make_tag

    tag = make_tag(name, Path.cwd())
    return [pod for pod in client.pods() if tag.is_alike(pod)]


def _row(pod: "PodInfo") -> dict[str, Any]:
    """Hours since it was made; dollars an hour, and in all as if it had cost that from the start."""
    hours = (datetime.now(UTC) - datetime.fromisoformat(pod.createdAt)).total_seconds() / 3600
    return {
        "id": pod.id,
        "name": pod.name,
        "status": pod.status,
        "gpu": f"{pod.gpu.count} x {pod.gpu.id}" if pod.gpu else None,
        "dollars_per_hour": pod.cost,
        "hours": round(hours, 3),
        "dollars": round(hours * pod.cost, 2),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.HORIZONTALS)
    table.add_column("id", no_wrap=True)
    for heading in ("name", "status", "gpu"):
        table.add_column(heading, overflow="fold")
    for heading in ("hours", "$/h", "$"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [row["id"], row["name"], row["status"], row["gpu"] or "", f"{row['hours']:.1f}"]
        table.add_row(*cells, f"{row['dollars_per_hour']:.2f}", f"{row['dollars']:.2f}")
    return table
