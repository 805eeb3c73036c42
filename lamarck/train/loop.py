"""The training loop. Steps, not seconds, decide its end; the approved compute ceiling can only end it sooner."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from peft import PeftModel

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.gate.allowance import Allowance
from lamarck.models.logits import logits_at
from lamarck.train.checkpoint import Progress, resume, save_checkpoint
from lamarck.train.data import IGNORED, Batches
from lamarck.train.log import Row, peak_memory
from lamarck.train.team import Team, alone

LOG_EVERY_SHARE = 100  # The log has about this many rows a run: reading the loss more often costs time.


def train(
    model: PeftModel,
    batches: Batches,
    recipe: Recipe,
    allowance: Allowance,
    checkpoint: Path,
    run: str,
    on_step: Callable[[int], None],
    on_row: Callable[[Row], None] = lambda row: None,
    team: Team | None = None,
) -> Progress:
    """Train `model` in place. `run` names everything that decides the result: a checkpoint of another run is ignored.
    `on_row` hears of every row of the log, those of the checkpoint included. Every process of `team` calls this and
    ends with the same adapter; recipe.batch_size must be a multiple of their number.

    When the allowance is spent it ends with the steps that it has. Errors: LamarckError when it has none then, and when
    the loss is not a number; the last checkpoint stays.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay, fused=True
    )
    team = team or alone(trained[0].device)
    device = team.device
    progress = resume(checkpoint, run, model, optimizer, team)
    on_step(progress.step)
    for row in progress.log:
        on_row(row)
    log_every = max(1, recipe.steps // LOG_EVERY_SHARE)
    tokens_before, seconds_before = progress.tokens, progress.device_seconds
    model.train()
    with allowance.spending(team.size, team.leads) as spending:
        # Clocks differ, and all must draw the same conclusion from them.
        begun = spent = team.leaders(spending.before)
        resumed_seconds = progress.device_seconds
        while progress.step < recipe.steps and spent < allowance.device_seconds:
            rate = recipe.learning_rate * _rate(progress.step, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = torch.zeros((), device=device)
            for inputs, labels, share in batches.parts(progress.step, team.rank, team.size):
                part = share * answer_loss(model, inputs.to(device), labels.to(device))
                part.backward()
                loss += part.detach()
            team.sum_gradients(trained)
            norm = torch.nn.utils.clip_grad_norm_(trained, recipe.max_grad_norm)
            if not math.isfinite(float(norm)):
                raise LamarckError(
                    f"training diverged at step {progress.step}: the gradient is {float(norm)}; "
                    "lower recipe.learning_rate (the last checkpoint is kept)"
                )
            optimizer.step()
            progress.tokens += batches.tokens_at(progress.step)
            spent = team.leaders(spending.spent())
            progress.device_seconds = resumed_seconds + spent - begun
            ended = progress.step + 1 == recipe.steps or spent >= allowance.device_seconds
            if progress.step % log_every == 0 or ended:
                seconds = (progress.device_seconds - seconds_before) / team.size
                speed = (progress.tokens - tokens_before) / seconds
                tokens_before, seconds_before = progress.tokens, progress.device_seconds
                memory = max(team.gather(peak_memory(device)))
                row = Row(progress.step, round(team.sum(loss).item(), 6), rate, round(speed, 1), memory)
                progress.log.append(row)
                on_row(row)
            progress.step += 1
            if progress.step % recipe.checkpoint_every == 0:
                save_checkpoint(checkpoint, run, model, optimizer, progress, team)
            on_step(1)
        progress.spent, progress.attempts = spent, spending.attempts
    if progress.step == 0:
        raise allowance.exhausted(progress.attempts)
    return progress


def answer_loss(model: PeftModel, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, in nats, over the answer tokens of a batch; `inputs` and `labels` are (batch, longest).

    The vocabulary's logits are computed for those tokens alone. Rows are padded on the right, where causal attention
    never looks, so no mask is needed and no example can see another.
    """
    causal = model.get_base_model()
    targets = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    counted = targets != IGNORED
    with _products_in(causal.dtype, inputs.device):
        logits = logits_at(causal, inputs, counted)
    return torch.nn.functional.cross_entropy(logits.float(), targets[counted])


def _products_in(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """For one forward pass: products in the frozen weights' type, whatever is float32 beside them.

    Nothing is cached: kept beyond an optimizer step, a rounded copy of a trained weight would be used for ever, and the
    model would never see what it learned.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16, cache_enabled=False)


def _rate(step: int, recipe: Recipe) -> float:
    """Share of the learning rate at a step: linear warm-up, a plateau, linear decay to nearly nothing."""
    warm = (step + 1) / recipe.warmup_steps if recipe.warmup_steps else 1.0
    decay_steps = recipe.decay_share * recipe.steps
    decay = (recipe.steps - step) / decay_steps if decay_steps else 1.0
    return min(1.0, warm, decay)
