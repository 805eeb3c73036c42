"""Which kinds of GPU may stand in for the one that was planned. Light."""

from lamarck.budget.machine import Catalogue


def kinds_no_worse(catalogue: Catalogue, kind: str) -> tuple[str, ...]:
    """RunPod's ids of `kind`, and of those with no less memory, operations and bandwidth: there a run fits as planned,
    and takes no longer. Empty for this machine. Errors: LamarckError for a kind that the catalogue has not."""
    planned = catalogue.gpu(kind)
    if planned is None:
        return ()
    others = (
        gpu.id
        for gpu in catalogue.gpus.values()
        if gpu != planned
        and gpu.memory_mib >= planned.memory_mib
        and gpu.bf16 >= planned.bf16
        and gpu.bandwidth >= planned.bandwidth
    )
    return (planned.id, *others)
