"""What can go wrong, by what the executor does next."""

from snakemake_interface_common.exceptions import WorkflowError


class RunPodError(WorkflowError):
    """The run cannot go on: one sentence, with what to do next."""


class Rejected(Exception):
    """This GPU could not be placed, or is not open to this account: the next candidate may be."""


class NoCapacity(Rejected):
    """No machine has this GPU free now: it may have later."""


class PodLost(Exception):
    """The pod is gone or unusable: another one may carry on."""


class Unreachable(Exception):
    """One ssh or rsync call did not get through; the pod may be well."""


class WrongHostKey(Exception):
    """The host at the pod's address is not the one whose key its log says."""


class Cancelled(Exception):
    """The run is being stopped."""
