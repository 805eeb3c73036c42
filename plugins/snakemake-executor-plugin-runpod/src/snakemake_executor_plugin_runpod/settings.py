"""What `--runpod-*` can say, and what the executor tells Snakemake about itself."""

from dataclasses import dataclass, field
from typing import Literal

from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import RunPodError

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    # Inputs go out and outputs come back over ssh: no storage in between, results stay where the gate and DVC look.
    can_transfer_local_files=True,
    pass_default_storage_provider_args=False,
    auto_deploy_default_storage_provider=False,
    # Declared variables (`envvars:`) may be secrets: they go to the pod over ssh, never into a script.
    pass_envvar_declarations_to_cmd=False,
)


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    max_dollars: float | None = field(
        default=None,
        metadata={
            "help": "Ceiling of one run in dollars: its pod ends when it is spent.",
            "required": True,
            "type": float,
        },
    )
    max_dollars_per_hour: float | None = field(
        default=None, metadata={"help": "Dollars that an hour of the pod may cost.", "type": float}
    )
    gpu_memory: int = field(default=24, metadata={"help": "Memory that each GPU must have, in GB."})
    gpu_count: int = field(default=1, metadata={"help": "GPUs of the pod."})
    pods: int = field(
        default=1,
        metadata={
            "help": "Pods at once, where it is more than one: jobs whose `params.apart` differ have pods of their own, "
            "and a pod does a job at a time. All of them spend --runpod-max-dollars together."
        },
    )
    gpus: str = field(
        default="", metadata={"help": "Only these kinds, by RunPod's ids, separated by commas. Default: any."}
    )
    min_cuda: str | None = field(
        default=None,
        metadata={"help": "CUDA version (13.0) that the machine's driver must have, or a later one.", "type": str},
    )
    cloud: Literal["SECURE", "COMMUNITY"] = field(default="SECURE", metadata={"help": "Whose machines."})
    data_centers: str = field(
        default="", metadata={"help": "Only these data centers, by RunPod's ids, separated by commas. Default: any."}
    )
    volume: str | None = field(
        default=None,
        metadata={
            "help": "Id of a network volume, mounted at /runpod-volume: what lies there outlives the pods. It costs by "
            "the month, whether a pod runs or not, and its data center is the only one whose machines reach it.",
            "type": str,
        },
    )
    image: str = field(
        default="runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
        metadata={"help": "Container image; it must start sshd with the key in PUBLIC_KEY, as RunPod's own do."},
    )
    disk: int = field(default=100, metadata={"help": "Container disk in GB."})
    setup: str = field(
        default="true", metadata={"help": "Command run once on a new pod, in the project's directory, before any job."}
    )
    preflight: str | None = field(
        default=None,
        metadata={
            "help": "Command run on a new pod after --runpod-setup: where it fails, the pod is ended with its last "
            "line. It finds the kind and number of GPUs in RUNPOD_GPU and RUNPOD_GPUS.",
            "type": str,
        },
    )
    whole: str | None = field(
        default=None,
        metadata={
            "help": "Command that must succeed on a pod for jobs whose `params` have `serves` to run there. Where it "
            "fails they run here, and the pod only what `serves` says.",
            "type": str,
        },
    )
    ledger: str = field(
        default=".snakemake/runpod.ledger.jsonl",
        metadata={"help": "File that keeps what pods cost, so that later runs spend what is left of a ceiling."},
    )
    name: str | None = field(
        default=None,
        metadata={
            "help": "The pods' tag, part of their names. Default: the working directory's name.",
            "type": str,
        },
    )
    resume: str = field(
        default="checkpoint",
        metadata={
            "help": "Names of `params`, separated by commas, that hold a path from which a killed job goes on: it is "
            "brought back while the job runs, and sent out before."
        },
    )
    resume_keys: str | None = field(
        default=None,
        metadata={
            "help": "A command that is run here, with the paths that a job goes on from; the job finds what it prints "
            "in its environment, as RUNPOD_RESUME_KEYS.",
            "type": str,
        },
    )
    resume_placed: str | None = field(
        default=None,
        metadata={
            "help": "A command that is run here, with the paths that a job goes on from, whenever they came back.",
            "type": str,
        },
    )
    keep_minutes: float = field(
        default=0.0,
        metadata={
            "help": "A pod on which a job failed is kept for so long, with a line that says how to get there by ssh. "
            "It is paid for; Ctrl-C ends it."
        },
    )
    hours: float = field(default=24.0, metadata={"help": "A pod ends itself after this many hours."})
    lease_minutes: float = field(
        default=20.0, metadata={"help": "A pod whose controller is silent for this long ends itself."}
    )
    wait_minutes: float = field(default=60.0, metadata={"help": "How long to wait for a GPU when none is free."})
    start_minutes: float = field(
        default=15.0, metadata={"help": "A pod that is not up by then is ended, another one tried."}
    )
    silent_minutes: float = field(
        default=5.0, metadata={"help": "A pod that does not answer over ssh for this long is given up and replaced."}
    )
    replacements: int = field(default=3, metadata={"help": "How many pods that were lost are replaced in one run."})
    poll_seconds: float = field(default=5.0, metadata={"help": "How seldom a long job is looked at."})
    resume_seconds: float = field(
        default=60.0, metadata={"help": "How often what a killed job goes on from is brought back."}
    )


def dollars(settings: ExecutorSettings) -> float:
    """The ceiling of a run. Errors: RunPodError where a ceiling is missing or no positive number."""
    if settings.max_dollars is None:
        raise RunPodError("give --runpod-max-dollars: without a ceiling nothing is rented")
    if settings.max_dollars_per_hour is not None:
        positive(settings.max_dollars_per_hour)
    return positive(settings.max_dollars)


def positive(dollars: float) -> float:
    """Errors: RunPodError where a ceiling is not a positive number."""
    if not 0 < dollars < float("inf"):
        raise RunPodError(f"a ceiling of {dollars:g} dollars is not a positive number: nothing is rented")
    return dollars


def need(settings: ExecutorSettings, gpus: str = "", count: int | None = None) -> Need:
    """What a job asks of its pod: what the settings say, or where its rule names kinds (`gpus`, RunPod's ids) and their
    number, one of those. Errors: RunPodError where the settings allow none of the kinds."""
    allowed, planned = names(settings.gpus), names(gpus)
    if not planned:
        return Need(settings.gpu_memory, settings.gpu_count, settings.cloud, allowed, settings.min_cuda)
    both = tuple(kind for kind in planned if kind in allowed) if allowed else planned
    if not both:
        raise RunPodError(
            f"the job is planned for {planned[0]} or better, and --runpod-gpus allows {settings.gpus} only: allow a "
            "kind that was planned, or plan for one that is allowed"
        )
    return Need(0, count or settings.gpu_count, settings.cloud, both, settings.min_cuda)


def names(text: str) -> tuple[str, ...]:
    """`a, b` -> ("a", "b")."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
