"""How pods are told apart by their names: RunPod's API version 2 knows no other mark.

`lamarck-1f2e3d4c-0a1b2c3d`: what the pods work on, whose they are, and which one it is. A pod that was made in the
moment in which its controller died is found again by its owner's part.
"""

import hashlib
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_runpod.api import PodInfo


@dataclass(frozen=True)
class Tag:
    """`owner` names one directory on one machine."""

    name: str
    owner: str

    def new_pod_name(self) -> str:
        return f"{self.name}-{self.owner}-{secrets.token_hex(4)}"

    def is_ours(self, pod: PodInfo) -> bool:
        return pod.name.startswith(f"{self.name}-{self.owner}-")

    def is_alike(self, pod: PodInfo) -> bool:
        """Whether the pod works on the same, ours or not."""
        return re.fullmatch(rf"{self.name}-[0-9a-f]{{8}}-[0-9a-f]{{8}}", pod.name) is not None


def make_tag(name: str | None, directory: Path) -> Tag:
    """`name` defaults to the directory's: clones of one repository mostly share it."""
    plain = re.sub(r"[^a-z0-9]+", "-", (name or directory.resolve().name).lower()).strip("-") or "snakemake"
    owner = hashlib.sha256(f"{socket.gethostname()}:{directory.resolve()}".encode()).hexdigest()[:8]
    return Tag(plain, owner)
