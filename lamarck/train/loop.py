"""The training loop. Steps, not seconds, decide its end; the approved compute ceiling can only end it sooner."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.gate.allowance import Allowance
from lamarck.models.attention import attended_by, may_read_once
from lamarck.models.logits import logits_at
from lamarck.train.beginnings import ATTENTION, StepPart, are_short, parts_of
from lamarck.train.causal import causal_of
from lamarck.train.checkpoint import Checkpoints, Progress
from lamarck.train.context import context_frozen_loss
from lamarck.train.data import IGNORED, Batches
from lamarck.train.head import is_sliced, sliced_loss
from lamarck.train.learning_rate import share_of_rate
from lamarck.train.log import StepRow, peak_memory
from lamarck.train.memory import computes_again
from lamarck.train.optimizer import AdamW, build_optimizer, first_not_finite, grouped, set_rate, state_bytes
from lamarck.train.second_place import copy_to_second_place, place_of
from lamarck.train.team import Team, alone

LOG_EVERY_SHARE = 100  # The log has about this many rows a run: reading the loss more often costs time.


def train(
    model: torch.nn.Module,
    batches: Batches,
    recipe: Recipe,
    allowance: Allowance,
    checkpoint: Path,
    run: str,
    on_step: Callable[[int], None],
    on_row: Callable[[StepRow], None] = lambda row: None,
    team: Team | None = None,
) -> Progress:
    """Train `model` in place. `run` names everything that decides the result: a checkpoint of another run is deleted.
    `checkpoint` is a directory, copied to `recipe.copy_to` under the name that was approved, where one is set.
    `on_row` hears of every row of the log, those of the checkpoint included. Every process of `team` calls this and
    ends with the same weights; recipe.batch_size must be a multiple of their number.

    When the allowance is spent it ends with the steps that it has. Errors: LamarckError when it has none then, and when
    the loss is not a number; the last checkpoint stays.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(
        grouped(model), recipe.optimizer, recipe.learning_rate, recipe.beta2, recipe.weight_decay, batches.seed
    )
    steps = recipe.steps_over(len(batches.examples))
    team = team or alone(trained[0].device)
    device = team.device
    alike = recipe.loss == "plain" and team.size == 1 and not computes_again(model)
    by_families = alike and may_read_once(causal_of(model), device)
    with closing(Checkpoints(checkpoint, run, team)) as checkpoints:
        progress = checkpoints.resume(model, optimizer)
        on_step(progress.step)
        for row in progress.log:
            on_row(row)
        between = 60 * recipe.checkpoint_minutes * team.size  # device-seconds from one checkpoint to the next, at most
        log_every = max(1, steps // LOG_EVERY_SHARE)
        tokens_before, seconds_before = progress.tokens, progress.device_seconds
        model.train()
        with allowance.spending(team.size, team.leads) as spending:
            # Clocks differ, and all must draw the same conclusion from them.
            begun = spent = saved = team.leaders(spending.before)
            resumed_seconds = progress.device_seconds
            while progress.step < steps and spent < allowance.device_seconds:
                rate = recipe.learning_rate * share_of_rate(progress.step, steps, recipe)
                set_rate(optimizer, rate)
                optimizer.zero_grad()
                loss = torch.zeros((), device=device)
                for part in _losses(model, batches, recipe, progress.step, team, by_families):
                    part.backward()
                    loss += part.detach()
                team.sum_gradients(trained)
                norm = torch.nn.utils.get_total_norm([value.grad for value in trained if value.grad is not None])
                if not math.isfinite(float(norm)):
                    raise LamarckError(
                        f"training diverged at step {progress.step}: the gradient{_of_first_bad(optimizer)} is not "
                        "finite; lower recipe.learning_rate (the last checkpoint is kept)"
                    )
                torch.nn.utils.clip_grads_with_norm_(trained, recipe.max_grad_norm, norm)
                optimizer.step()
                progress.tokens += batches.tokens_at(progress.step)
                spent = team.leaders(spending.spent())
                progress.device_seconds = resumed_seconds + spent - begun
                ended = progress.step + 1 == steps or spent >= allowance.device_seconds
                if progress.step % log_every == 0 or ended:
                    seconds = (progress.device_seconds - seconds_before) / team.size
                    speed = (progress.tokens - tokens_before) / seconds
                    tokens_before, seconds_before = progress.tokens, progress.device_seconds
                    memory = max(team.gather(peak_memory(device)))
                    row = StepRow(progress.step, round(team.sum(loss).item(), 6), rate, round(speed, 1), memory)
                    progress.log.append(row)
                    on_row(row)
                progress.step += 1
                progress.spent = spent
                if progress.step % recipe.checkpoint_every == 0 or spent - saved >= between:
                    checkpoints.save(model, optimizer, progress)
                    saved = spent
                    if recipe.copy_to and team.leads:
                        copy_to_second_place(checkpoint, place_of(recipe.copy_to, allowance.name))
                on_step(1)
            progress.spent, progress.attempts = spent, spending.attempts
            progress.optimizer_bytes = state_bytes(optimizer)
    if progress.step == 0:
        raise allowance.exhausted(progress.attempts)
    return progress


def _losses(
    model: torch.nn.Module, batches: Batches, recipe: Recipe, step: int, team: Team, by_families: bool
) -> Iterator[torch.Tensor]:
    """The loss of a step in parts, whose sum it is; each is computed when the one before has given its gradient.
    `by_families`: short texts are read once as far as they begin alike."""
    if by_families and are_short(examples := batches.examples_at(step)):
        parts = parts_of(examples, batches.padding)
        answers = [part.answers for part in parts]
        for part, own in zip(parts, answers, strict=True):
            yield own / sum(answers) * family_loss(model, part)
        return
    loss_of = answer_loss if recipe.loss == "plain" else decision_loss
    for inputs, labels, share in batches.parts(step, team.rank, team.size):
        yield share * loss_of(model, inputs.to(team.device), labels.to(team.device))


def answer_loss(model: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, in nats, over the answer tokens of a batch; `inputs` and `labels` are (batch, longest).

    The vocabulary's logits are computed for those tokens alone. Rows are padded on the right, where causal attention
    never looks, so no mask is needed and no example can see another.
    """
    return _loss_at(causal_of(model), inputs, torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED))


def family_loss(model: torch.nn.Module, part: StepPart) -> torch.Tensor:
    """The same of a part of a step, whose texts are read once as far as they begin alike."""
    causal = causal_of(model)
    with attended_by(causal, ATTENTION):
        return _loss_at(causal, part.inputs, part.targets, position_ids=part.places, families=part.families)


def decision_loss(model: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same loss with another gradient: keys and values of what stands before the answer are constants.

    `model` went through `freeze_contexts` (lamarck/train/context.py).
    """
    contexts = (labels != IGNORED).int().argmax(dim=1)
    with _products_in(causal_of(model).dtype, inputs.device):
        return context_frozen_loss(model, inputs, labels, contexts)


def _loss_at(causal: Any, inputs: torch.Tensor, targets: torch.Tensor, **more: Any) -> torch.Tensor:
    """`targets`, (batch, longest): the token to predict at each place of `inputs`, or IGNORED."""
    counted = targets != IGNORED
    learned = targets[counted]
    with _products_in(causal.dtype, inputs.device):
        if is_sliced(causal, len(learned)):
            return sliced_loss(causal, inputs, counted, learned, **more)
        logits = logits_at(causal, inputs, counted, **more)
    return torch.nn.functional.cross_entropy(logits.float(), learned)


def _of_first_bad(optimizer: AdamW) -> str:
    """Of a norm that overflowed no single number is to blame."""
    name = first_not_finite(optimizer.named())
    return f" of {name}" if name else ""


def _products_in(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """For one forward pass: products in the type of most weights, whatever is float32 beside them.

    Nothing is cached: kept beyond an optimizer step, a rounded copy of a trained weight would be used for ever, and the
    model would never see what it learned.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16, cache_enabled=False)
