"""The optimizers: AdamW and APOLLO, for weights in float32 or bfloat16, by groups of weights."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.optim.adamw import adamw

from lamarck.budget.optimizer_state import TrainedWeight
from lamarck.config.optimizer import AdamWSettings, ApolloMiniSettings, ApolloSettings, GroupName
from lamarck.errors import LamarckError
from lamarck.seeds import seed_for
from lamarck.train.apollo import (
    adam_direction,
    compact,
    draw_projection,
    factors,
    limited,
    short_side,
    update_norm,
)
from lamarck.train.causal import causal_of

Named = Iterable[tuple[str, torch.nn.Parameter]]


def grouped(model: torch.nn.Module) -> dict[GroupName, list[tuple[str, torch.nn.Parameter]]]:
    """The trained weights of a causal model, with or without an adapter, by group; every group is there."""
    causal = causal_of(model)
    embedding, head = causal.get_input_embeddings(), causal.get_output_embeddings()
    groups: dict[GroupName, list[tuple[str, torch.nn.Parameter]]]
    groups = {"embedding": [], "head": [], "matrices": [], "scalars": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter is embedding.weight:
            groups["embedding"].append((name, parameter))
        elif head is not None and parameter is head.weight:
            groups["head"].append((name, parameter))
        else:
            groups["matrices" if parameter.dim() == 2 else "scalars"].append((name, parameter))
    return groups


def trained_weights(groups: Mapping[GroupName, Named]) -> list[TrainedWeight]:
    """What the formula of the optimizer's state is computed from."""
    return [
        TrainedWeight(name, group, tuple(parameter.shape), parameter.element_size())
        for group, named in groups.items()
        for name, parameter in named
    ]


def build_optimizer(
    groups: Mapping[GroupName, Named],
    settings: AdamWSettings | ApolloSettings | ApolloMiniSettings,
    learning_rate: float,
    beta2: float,
    weight_decay: float,
    seed: int,
) -> "AdamW":
    """The optimizer of `settings`; rate, second-moment decay and weight decay are the recipe's."""
    members = [
        {
            "params": list(named),
            "name": name,
            "rate_share": settings.groups.of(name).rate,
            "weight_decay": _or(settings.groups.of(name).weight_decay, weight_decay),
        }
        for name, named in groups.items()
    ]
    members = [member for member in members if member["params"]]
    optimizer = (
        AdamW(members, settings, learning_rate, beta2, seed)
        if isinstance(settings, AdamWSettings)
        else Apollo(members, settings, learning_rate, beta2, seed)
    )
    set_rate(optimizer, learning_rate)
    return optimizer


def set_rate(optimizer: "AdamW", rate: float) -> None:
    """Give every group its share of the step's learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_share"]


def first_not_finite(named: Named) -> str | None:
    """The first weight whose gradient holds a number that is not finite."""
    with_gradient = [(name, parameter.grad) for name, parameter in named if parameter.grad is not None]
    if torch.isfinite(torch.nn.utils.get_total_norm([gradient for _, gradient in with_gradient])):
        return None
    return next((name for name, gradient in with_gradient if not torch.isfinite(gradient).all()), None)


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """What the optimizer's state takes now, as `lamarck.budget.optimizer_state` counts it beforehand."""
    tensors = [value for state in optimizer.state.values() for value in state.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class AdamW(torch.optim.Optimizer):
    """AdamW whose moments are float32 whatever the weights are. Groups come from `build_optimizer`.

    `step` raises LamarckError for a gradient that is not finite, before anything is changed.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        settings: AdamWSettings | ApolloSettings | ApolloMiniSettings,
        learning_rate: float,
        beta2: float,
        seed: int,
    ) -> None:
        super().__init__(groups, {"lr": learning_rate})
        self.settings = settings
        self.beta2 = beta2
        self.seed = seed

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every weight that has a gradient."""
        if bad := first_not_finite(self.named()):
            raise LamarckError(
                f"the gradient of {bad} is not finite: lower recipe.learning_rate, or look for a broken item; no "
                "weight was changed"
            )
        for group in self.param_groups:
            named = [
                (name, parameter)
                for name, parameter in zip(group["param_names"], group["params"], strict=True)
                if parameter.grad is not None
            ]
            # Of weights in 16 bits, gradients and weights are copied in float32: one at a time.
            together = len(named) if not any(_is_sixteen_bit(parameter) for _, parameter in named) else 1
            for first in range(0, len(named), max(1, together)):
                self._update_and_store(group, named[first : first + together])

    def _update_and_store(self, group: dict[str, Any], named: list[tuple[str, torch.Tensor]]) -> None:
        parameters = [parameter for _, parameter in named]
        weights = [self._weight(parameter) for parameter in parameters]
        self._update(group, parameters, weights)
        for (name, parameter), weight in zip(named, weights, strict=True):
            self._store(name, parameter, weight)

    def _update(self, group: dict[str, Any], parameters: list[torch.Tensor], weights: list[torch.Tensor]) -> None:
        """Update `weights`, which are the parameters themselves or stand for them, in place."""
        if not weights:
            return
        states = [
            self._moments(parameter, weight, weight.shape)
            for parameter, weight in zip(parameters, weights, strict=True)
        ]
        adamw(
            weights,
            [parameter.grad.to(weight.dtype) for parameter, weight in zip(parameters, weights, strict=True)],
            [state["first"] for state in states],
            [state["second"] for state in states],
            [],
            [state["step"].to(weight.device, copy=True) for state, weight in zip(states, weights, strict=True)],
            fused=True,
            amsgrad=False,
            beta1=self.settings.beta1,
            beta2=self.beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=self.settings.eps,
            maximize=False,
        )
        for state in states:
            state["step"] += 1

    def _moments(self, parameter: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> dict[str, Any]:
        """The state of a weight, with moments of `shape`. Its step is on the CPU: to read it waits for no GPU."""
        state = self.state[parameter]
        if "first" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["first"] = weight.new_zeros(shape)
            state["second"] = weight.new_zeros(shape)
        return state

    def _weight(self, parameter: torch.Tensor) -> torch.Tensor:
        """What the update is computed on: the parameter, its float32 master, or a float32 copy for this step."""
        if not _is_sixteen_bit(parameter):
            return parameter
        if self.settings.sixteen_bit != "masters":
            return parameter.float()
        state = self.state[parameter]
        if "master" not in state:
            state["master"] = parameter.float()
        master: torch.Tensor = state["master"]
        return master

    def _store(self, name: str, parameter: torch.Tensor, weight: torch.Tensor) -> None:
        if not _is_sixteen_bit(parameter):
            return
        if self.settings.sixteen_bit == "stochastic":
            # From the weight's own step and name: a resumed run, and every process, rounds alike.
            step = str(int(self.state[parameter]["step"]))
            weight = round_stochastically(weight, seed_for(self.seed, "rounding", name, step))
        parameter.copy_(weight)

    def named(self) -> Named:
        """Every weight that is trained."""
        for group in self.param_groups:
            yield from zip(group["param_names"], group["params"], strict=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, but every number of the state keeps its type: torch gives it that of the weight."""
        super().load_state_dict(state_dict)
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        for number, (_, parameter) in zip(numbers, self.named(), strict=True):
            for key, value in state_dict["state"].get(number, {}).items():
                device = "cpu" if key == "step" else parameter.device
                self.state[parameter][key] = value.to(device, copy=True)


class Apollo(AdamW):
    """APOLLO or APOLLO-Mini for the matrices of the groups that `settings.projected` names, AdamW for the rest.

    The projection is drawn from the seed, one for all matrices of the same short side, and kept beside the state, not
    in it: what a checkpoint holds, and what grows with the model, are the moments and one norm for each matrix.
    """

    settings: ApolloSettings | ApolloMiniSettings

    def __init__(
        self,
        groups: list[dict[str, Any]],
        settings: ApolloSettings | ApolloMiniSettings,
        learning_rate: float,
        beta2: float,
        seed: int,
    ) -> None:
        super().__init__(groups, settings, learning_rate, beta2, seed)
        self._projections: dict[tuple[object, ...], tuple[int, torch.Tensor]] = {}

    def _update(self, group: dict[str, Any], parameters: list[torch.Tensor], weights: list[torch.Tensor]) -> None:
        whole: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for parameter, weight in zip(parameters, weights, strict=True):
            rank = self.settings.projected_rank(group["name"], tuple(parameter.shape))
            if rank is None:
                whole[0].append(parameter)
                whole[1].append(weight)
            else:
                self._update_projected(group, rank, parameter, weight)
        super()._update(group, *whole)

    def _update_projected(
        self, group: dict[str, Any], rank: int, parameter: torch.Tensor, weight: torch.Tensor
    ) -> None:
        gradient = parameter.grad.to(weight.dtype)
        side = short_side(gradient.shape)
        rows, columns = gradient.shape
        state = self._moments(parameter, weight, torch.Size((rank, columns) if side == 0 else (rows, rank)))
        state["step"] += 1
        step = int(state["step"])
        projected = compact(gradient, self._projection(gradient, rank, (step - 1) // self.settings.renew_every))
        direction = adam_direction(
            projected, state["first"], state["second"], step, self.settings.beta1, self.beta2, self.settings.eps
        )
        scale = factors(direction, projected, side, self.settings.scaling) * self._alpha(gradient.shape[side], rank)
        if self.settings.growth_limit is not None:
            norm = update_norm(gradient, scale)
            factor = limited(norm, state.get("norm", torch.zeros_like(norm)), self.settings.growth_limit)
            state["norm"] = norm * factor
            scale = scale * factor
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.addcmul_(gradient, scale, value=-group["lr"])

    def _alpha(self, size: int, rank: int) -> float:
        alpha = self.settings.gradient_scale
        return (size / rank) ** 0.5 if isinstance(alpha, str) else alpha

    def _projection(self, gradient: torch.Tensor, rank: int, period: int) -> torch.Tensor:
        size = gradient.shape[short_side(gradient.shape)]
        key = (size, rank, gradient.device, gradient.dtype)
        if self._projections.get(key, (-1,))[0] != period:
            drawn = draw_projection(size, rank, self.seed, period).to(gradient.device, gradient.dtype)
            self._projections[key] = (period, drawn)
        return self._projections[key][1]


def round_stochastically(weight: torch.Tensor, seed: int) -> torch.Tensor:
    """float32 as bfloat16: up with the probability of how far it is on its way up, so right in expectation."""
    generator = torch.Generator(weight.device).manual_seed(seed)
    bits = weight.contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, dtype=torch.int32, device=weight.device, generator=generator)
    return (bits + noise).bitwise_and_(-(1 << 16)).view(torch.float32).to(torch.bfloat16)


def _is_sixteen_bit(parameter: torch.Tensor) -> bool:
    return parameter.dtype == torch.bfloat16


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
