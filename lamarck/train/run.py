"""One approved training run, from the curriculum to the child: what each of its processes does."""

import contextlib
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import atomic_directory, digest_value, write_json
from lamarck.gate.allowance import Allowance
from lamarck.gate.check import Admitted
from lamarck.heavy_imports import heavy_imports
from lamarck.lineage.artifacts import trained_kind
from lamarck.lineage.contents import LoggedStep, SpentBudget, TrainingReport
from lamarck.lineage.digest import change_digest, model_digest
from lamarck.lineage.generation import TRAINING_RECORD, Generation
from lamarck.lineage.records import TakenIn, make_record
from lamarck.progress import count_up
from lamarck.seeds import seed_for

if TYPE_CHECKING:
    from lamarck.train.checkpoint import Progress
    from lamarck.train.team import Team

# Where every adapter says its base lies: a path of this machine would change the bytes and name the machine.
BASE = "results/g0/weights"


@dataclass(frozen=True)
class TrainingJob:
    """An approved run: what the gate admitted, which goes to every process as it was read there, and its files.

    `started`: in seconds since the epoch; `checkpoint` is a directory; `threads` are shared by all processes.
    """

    started: float
    config: Config
    child: Generation
    admitted: Admitted
    allowance: Allowance
    weights: Path
    parent_change: Path | None
    checkpoint: Path
    metrics: Path
    output: Path
    threads: int


def make_child(job: TrainingJob, team: "Team") -> None:
    """Train, and write the child with its record to `job.output`; only the team's leader writes and speaks."""
    # Heavy, and the process that starts the others needs none of it.
    with heavy_imports():
        import torch
        from peft import PeftModel

        from lamarck.models.opening import open_tokenizer
        from lamarck.train.causal import causal_of
        from lamarck.train.context import freeze_contexts
        from lamarck.train.data import Batches, exercises, show_example, tokenize
        from lamarck.train.graphs import use_graphs
        from lamarck.train.liger import liger_version
        from lamarck.train.log import metrics_shown, peak_memory
        from lamarck.train.loop import train
        from lamarck.train.memory import fit_memory
        from lamarck.train.model import export_adapter, export_weights, load_trainable
        from lamarck.train.second_place import check_can_copy
        from lamarck.train.shard import shard_base

    if job.config.recipe.copy_to and team.leads:
        check_can_copy()
    config, child, admitted = job.config, job.child, job.admitted
    steps = admitted.plan.cost.steps
    recipe = config.recipe.taking(steps)
    ceiling = job.allowance.device_seconds
    torch.set_num_threads(max(1, job.threads // team.size))
    tokenizer = open_tokenizer(job.weights)
    seed = seed_for(config.seed, "train", str(child.number))
    data = tokenize(exercises(admitted.items, recipe.reasoning), tokenizer, recipe.max_tokens)
    if team.leads:
        print(f"{child.name} learns what stands in brackets: {show_example(data.examples[0], tokenizer)}", flush=True)
        if data.too_long:
            print(
                f"{data.too_long} of {data.too_long + len(data.examples)} examples are longer than the "
                f"{recipe.max_tokens} tokens of recipe.max_tokens and are left out",
                flush=True,
            )

    with metrics_shown(config.metrics if team.leads else "none", job.metrics) as on_row:
        torch.manual_seed(seed)
        model = load_trainable(job.weights, job.parent_change, recipe, team.device)
        _check_loaded(job)
        # Counted now: `stack` is exported by replacing the trained adapter with the sum of two.
        trained_parameters = sum(value.numel() for value in model.parameters() if value.requires_grad)
        if recipe.loss == "context-frozen":
            freeze_contexts(model)
        if team.size > 1:
            if isinstance(model, PeftModel):
                shard_base(model, team)
            # The same weights everywhere, but each its own dropout.
            torch.manual_seed(seed_for(seed, "process", str(team.rank)))
        use_graphs(model, recipe, team, fit_memory(model, recipe, team))
        kernels = liger_version(causal_of(model).config, recipe, team.device)
        easy_to_hard = admitted.strategy.ordering == "easy_to_hard"
        batches = Batches(data.examples, recipe.batch_size, seed, tokenizer.eos_token_id, easy_to_hard)
        inputs = admitted.pieces | trained_kind(config).setting_digests(config, child)
        steps_counted = count_up(f"{child.name} is trained", "steps", steps)
        with steps_counted if team.leads else contextlib.nullcontext(lambda steps: None) as on_step:
            progress = train(
                model,
                batches,
                recipe,
                job.allowance,
                job.checkpoint,
                digest_value(inputs),
                on_step,
                on_row,
                team,
            )

    memory = max(team.gather(peak_memory(team.device)))
    if not team.leads:
        return
    stopped = "steps" if progress.step == steps else "ceiling"
    device = team.device.type if team.size == 1 else f"{team.size} x {team.device.type}"
    device += f", Liger {kernels}" if kernels else ""
    with atomic_directory(job.output) as directory:
        if isinstance(model, PeftModel):
            for settings in model.peft_config.values():
                settings.base_model_name_or_path = BASE
            export_adapter(model, recipe.inherit, directory)
        elif recipe.form != "adapter":
            export_weights(model, recipe.form, job.weights, directory)
        wall_seconds = time.time() - job.started
        record = make_record(change_digest(directory), inputs, seed, device, wall_seconds, progress.spent)
        record = record.model_copy(update={"resumed": progress.resumed, "taken_in": _taken_in(progress)})
        training = TrainingReport(
            generation=child.name,
            record=record,
            recipe=config.recipe.model_dump(mode="json") | {"steps": steps},
            budget=SpentBudget(
                ceiling_device_seconds=ceiling,
                used_device_seconds=round(progress.spent, 3),
                attempts=progress.attempts,
                stopped_by=stopped,
            ),
            steps=progress.step,
            examples=len(data.examples),
            examples_too_long=data.too_long,
            tokens=progress.tokens,
            tokens_per_second=round(progress.tokens / (progress.device_seconds / team.size), 1),
            peak_memory_bytes=memory,
            optimizer_bytes=progress.optimizer_bytes,
            trained_parameters=trained_parameters,
            log=[LoggedStep(**asdict(row)) for row in progress.log],
        )
        write_json(directory / TRAINING_RECORD, training.written())
    shutil.rmtree(job.checkpoint)
    if stopped == "ceiling":
        attempts = f", {progress.attempts} attempts together" if progress.attempts > 1 else ""
        print(f"{child.name}: stopped at its compute ceiling of {ceiling:g} device-seconds{attempts}")
    print(f"{child.name}: {progress.step} steps, final loss {progress.log[-1].loss:.4f}")


def _taken_in(progress: "Progress") -> tuple[TakenIn, ...]:
    return tuple(TakenIn.model_validate(each) for each in progress.taken_in)


def _check_loaded(job: TrainingJob) -> None:
    """Weights are hashed at the gate, then loaded by path. Errors: LamarckError where they changed in between."""
    if model_digest(job.weights, job.parent_change) != job.admitted.parent:
        raise LamarckError(f"the parent of {job.child.name} changed while it was loaded: nothing was trained")
