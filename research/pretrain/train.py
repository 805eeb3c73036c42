"""The experiment: a small GPT, trained from nothing within the budget. This is the one file that may change.

RMSNorm without gains, rotary positions, normalised queries and keys, value embeddings behind gates, a pattern of short
and long attention windows, squared ReLU, capped logits; Muon for matrices, Adam for the rest, in four groups.
"""

import math
import sys
from dataclasses import dataclass

import prepare
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

DEPTH = 2
WIDTH = 64  # at a larger size so many times more
HEAD_DIM = 32
MLP_RATIO = 4.0
WINDOW_PATTERN = "SL"  # by layer, over and over: S sees the last SHORT_WINDOW tokens, L all
SHORT_WINDOW = 64
ROPE_BASE = 10000.0
QK_SCALE = 1.0
SOFTCAP = 20.0
VE_GATE_CHANNELS = 32
EMBED_STD = 1.0

BATCH = 8  # rows
MATRIX_LR = 0.04
EMBEDDING_LR = 0.3
UNEMBEDDING_LR = 0.004
SCALAR_LR = 0.3
MATRIX_DECAY = 0.0
ADAM_BETA1 = 0.8
ADAM_BETA2 = 0.95
MUON_MOMENTUM = 0.95
NS_STEPS = 5
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0


@dataclass(frozen=True)
class GPTConfig:
    vocab_size: int = prepare.VOCAB_SIZE
    n_layer: int = DEPTH
    n_embd: int = WIDTH * prepare.SIZE
    head_dim: int = HEAD_DIM
    window_pattern: str = WINDOW_PATTERN

    @property
    def n_head(self) -> int:
        return self.n_embd // self.head_dim


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: (batch, heads, tokens, head_dim); cos, sin: (tokens, head_dim / 2)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos + second * sin, second * cos - first * sin], dim=-1)


class Attention(nn.Module):
    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        width = config.n_embd
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        # Every other layer, the last one always, adds what the token itself says to its values.
        self.gate = nn.Linear(VE_GATE_CHANNELS, config.n_head, bias=False) if has_values(layer, config) else None

    def forward(self, x: Tensor, values: Tensor | None, rotary: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """x: (batch, tokens, width); values: (batch, tokens, width); mask: (tokens, tokens), true where seen."""
        batch, tokens, width = x.shape
        shape = (batch, tokens, self.config.n_head, self.config.head_dim)
        q, k, v = (project(x).view(shape) for project in (self.q, self.k, self.v))
        if self.gate is not None and values is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :VE_GATE_CHANNELS]))
            v = v + gate.unsqueeze(-1) * values.view(shape)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        q, k = (norm(rotated(each, *rotary)) * QK_SCALE for each in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        hidden = round(MLP_RATIO * config.n_embd)
        self.attention = Attention(config, layer)
        self.up = nn.Linear(config.n_embd, hidden, bias=False)
        self.down = nn.Linear(hidden, config.n_embd, bias=False)

    def forward(self, x: Tensor, values: Tensor | None, rotary: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.attention(norm(x), values, rotary, mask)
        return x + self.down(F.relu(self.up(norm(x))).square())


def has_values(layer: int, config: GPTConfig) -> bool:
    return layer % 2 == (config.n_layer - 1) % 2


class GPT(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.values = nn.ModuleDict(
            {
                str(i): nn.Embedding(config.vocab_size, config.n_embd)
                for i in range(config.n_layer)
                if has_values(i, config)
            }
        )
        self.blocks = nn.ModuleList([Block(config, layer) for layer in range(config.n_layer)])
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.resid_lambdas = nn.Parameter(torch.ones(config.n_layer))
        self.x0_lambdas = nn.Parameter(torch.full((config.n_layer,), 0.1))
        self.initialise()
        angles = torch.outer(
            torch.arange(prepare.MAX_SEQ_LEN),
            ROPE_BASE ** (-torch.arange(0, config.head_dim, 2) / config.head_dim),
        )
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    @torch.no_grad()
    def initialise(self) -> None:
        bound = math.sqrt(3 / self.config.n_embd)
        nn.init.normal_(self.embed.weight, std=EMBED_STD)
        nn.init.normal_(self.head.weight, std=0.001)
        for table in self.values.values():
            nn.init.uniform_(table.weight, -bound, bound)
        for block in self.blocks:
            for linear in (block.attention.q, block.attention.k, block.attention.v, block.up):
                nn.init.uniform_(linear.weight, -bound, bound)
            for linear in (block.attention.out, block.down, block.attention.gate):
                if linear is not None:
                    nn.init.zeros_(linear.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens) -> logits (batch, tokens, vocabulary): what comes next, at every place."""
        length = tokens.size(1)
        rotary = self.cos[:length], self.sin[:length]
        x0 = x = norm(self.embed(tokens))
        for layer, block in enumerate(self.blocks):
            kind = self.config.window_pattern[layer % len(self.config.window_pattern)]
            values = self.values[str(layer)](tokens) if str(layer) in self.values else None
            x = self.resid_lambdas[layer] * x + self.x0_lambdas[layer] * x0
            x = block(x, values, rotary, seen(length, SHORT_WINDOW if kind == "S" else length, tokens.device))
        logits = self.head(norm(x))
        return SOFTCAP * torch.tanh(logits / SOFTCAP)


masks: dict[tuple[int, int], Tensor] = {}


def seen(length: int, window: int, device: torch.device) -> Tensor:
    if (length, window) not in masks:
        places = torch.arange(length, device=device)
        distance = places[:, None] - places[None, :]
        masks[length, window] = (distance >= 0) & (distance < window)
    return masks[length, window]


class MuonAdamW(torch.optim.Optimizer):
    """Muon (orthogonalised momentum, Newton-Schulz) for groups with `muon`, AdamW for the others."""

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                (self._muon if group["muon"] else self._adamw)(parameter, parameter.grad, state, group)

    def _muon(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(gradient, 1 - MUON_MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, MUON_MOMENTUM))
        scale = max(1, parameter.size(0) / parameter.size(1)) ** 0.5
        parameter.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)

    def _adamw(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state.update(count=0, first=torch.zeros_like(parameter), second=torch.zeros_like(parameter))
        state["count"] += 1
        state["first"].lerp_(gradient, 1 - ADAM_BETA1)
        state["second"].lerp_(gradient.square(), 1 - ADAM_BETA2)
        first = state["first"] / (1 - ADAM_BETA1 ** state["count"])
        second = state["second"] / (1 - ADAM_BETA2 ** state["count"])
        parameter.mul_(1 - group["lr"] * group["decay"]).addcdiv_(first, second.sqrt() + 1e-8, value=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values near 1: a quintic Newton-Schulz iteration."""
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(NS_STEPS):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


def optimizer_of(model: GPT) -> MuonAdamW:
    scale = (model.config.n_embd / 768) ** -0.5
    matrices = [each for each in model.blocks.parameters() if each.ndim == 2]
    tables = [model.embed.weight, *(table.weight for table in model.values.values())]
    scalars = [model.resid_lambdas, model.x0_lambdas]
    groups = [
        {"params": matrices, "lr": MATRIX_LR, "decay": MATRIX_DECAY, "muon": True},
        {"params": tables, "lr": EMBEDDING_LR * scale, "decay": 0.0, "muon": False},
        {"params": [model.head.weight], "lr": UNEMBEDDING_LR * scale, "decay": 0.0, "muon": False},
        {"params": scalars, "lr": SCALAR_LR * 0.01, "decay": 0.0, "muon": False},
    ]
    optimizer = MuonAdamW(groups, {})
    for group in optimizer.param_groups:
        group["full"] = group["lr"]
    return optimizer


def lr_multiplier(progress: float) -> float:
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress > 1 - WARMDOWN_RATIO:
        left = (1 - progress) / WARMDOWN_RATIO
        return FINAL_LR_FRAC + (1 - FINAL_LR_FRAC) * left
    return 1.0


def load(directory: str) -> GPT:
    """The trained model, as the evaluator's questions reach it: (batch, tokens) -> logits."""
    model = GPT(GPTConfig())
    model.load_state_dict(load_file(f"{directory}/model.safetensors"))
    return model.eval()


def main() -> None:
    torch.manual_seed(prepare.seed())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = GPT(GPTConfig()).to(device)
    optimizer = optimizer_of(model)
    batches = prepare.rows(BATCH)
    steps = 0
    clock = prepare.Clock()
    while (progress := clock.progress(steps, steps * BATCH * prepare.MAX_SEQ_LEN)) < 1:
        rows = torch.from_numpy(next(batches)).to(device)
        loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1).float(), rows[:, 1:].flatten())
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = group["full"] * lr_multiplier(progress)
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
        if steps % 50 == 1:
            print(f"step {steps} | loss: {loss.item():.4f} | {progress:.0%}", flush=True)
        if not loss.item() <= 100:
            sys.exit(f"step {steps} | loss: {loss.item()}: diverged")
    save_file({name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}, "model.safetensors")
    parameters = sum(each.numel() for each in model.parameters())
    print(f"---\nnum_steps: {steps}\nnum_params_M: {parameters / 1e6:.2f}\nlast_loss: {loss.item():.4f}")


if __name__ == "__main__":
    main()
