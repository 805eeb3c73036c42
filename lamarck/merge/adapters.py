"""Merging LoRA adapters of one base: exactly, or by a merge method on what they add to each weight.

An adapter adds s B A to a weight, s = alpha / r. To combine the A and the B of two adapters apart, as is often done,
adds cross terms B1 A2 that neither has. Here the products themselves are combined.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.config.section import Section
from lamarck.errors import LamarckError, nearest
from lamarck.files import atomic_directory, read_json, write_json
from lamarck.merge.methods import get_method
from lamarck.merge.methods.base import Inputs, MergeMethod

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
A, B = ".lora_A.weight", ".lora_B.weight"


class Residual(Section):
    """What cutting to a rank lost: |D - B A| / |D| (Frobenius), of all modules together and of each."""

    total: float
    modules: dict[str, float]


@dataclass(frozen=True)
class LowRankFactors:
    """What an adapter adds to one weight: b @ a, the scale within b. a: [rank, inputs], b: [outputs, rank]."""

    a: "Tensor"
    b: "Tensor"


@dataclass(frozen=True)
class PlainAdapter:
    config: dict[str, Any]
    modules: dict[str, LowRankFactors]  # module's name -> what is added to its weight


def read_adapter(directory: Path) -> PlainAdapter:
    """A PEFT LoRA adapter, float32. Errors: LamarckError where it is not one, or more than LoRA on linear layers."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_json(directory / CONFIG)
    extras = [key for key in ("use_dora", "modules_to_save", "trainable_token_indices") if config.get(key)]
    extras += ["bias"] if config.get("bias", "none") != "none" else []
    if config.get("peft_type") != "LORA" or extras:
        what = ", ".join(extras) or f"peft_type {config.get('peft_type')}"
        raise LamarckError(f"{directory} is not a plain LoRA adapter ({what}): such adapters cannot be merged")
    try:
        tensors = load_file(directory / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise LamarckError(f"{directory / WEIGHTS} cannot be read: {error}") from error
    unknown = sorted(name for name in tensors if not name.endswith((A, B)))
    if unknown:
        raise LamarckError(f"{directory} holds {unknown[0]}, which is no LoRA matrix of a linear layer")
    modules = {}
    for name in sorted(tensors):
        if name.endswith(A):
            module = name.removesuffix(A)
            if module + B not in tensors:
                raise LamarckError(f"{directory} holds {name} without {module + B}: restore it")
            scale = _scale(config, module, tensors[name].shape[0])
            modules[module] = LowRankFactors(tensors[name].float(), tensors[module + B].float() * scale)
    return PlainAdapter(config, modules)


def rank_of(directory: Path) -> int:
    """The rank of an adapter: of its modules, the largest. Errors: as `read_adapter`."""
    return _rank(read_adapter(directory))


def _rank(adapter: PlainAdapter) -> int:
    return max((len(factors.a) for factors in adapter.modules.values()), default=0)


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / r, or alpha / sqrt(r) of rank-stabilised LoRA; `alpha_pattern` names modules by the end of their name."""
    alpha = config["lora_alpha"]
    for pattern, own in (config.get("alpha_pattern") or {}).items():
        if module == pattern or module.endswith(f".{pattern}"):
            alpha = own
    scale: float = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return scale


def concatenate(
    adapters: Sequence[Path],
    output: Path,
    weights: Sequence[float] | None = None,
    advance: Callable[[int], None] = lambda modules: None,
) -> int:
    """Write the adapter that adds exactly the weighted sum of what `adapters` add. Returns its rank, the sum of theirs.

    Modules that only some of them change are padded with zeros: all have the same rank. `advance` is told of each.
    """
    import torch

    read = [read_adapter(path) for path in adapters]
    shares = list(weights) if weights is not None else [1.0] * len(read)
    _check_fit(adapters, read)
    rank = sum(map(_rank, read))
    modules = {}
    for module in _modules(read):
        pairs = zip(read, shares, strict=True)
        given = [(adapter.modules[module], share) for adapter, share in pairs if module in adapter.modules]
        a = torch.cat([factors.a for factors, _ in given])
        b = torch.cat([factors.b * share for factors, share in given], dim=1)
        modules[module] = _padded(a, b, rank)
        advance(1)
    _write(output, read[0].config, modules, rank)
    return rank


def merge_products(
    adapters: Sequence[Path],
    output: Path,
    method: str,
    rank: int,
    own: Sequence[Mapping[str, float]],
    shared: Mapping[str, float | bool] | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda modules: None,
) -> Residual:
    """Merge the products b @ a of each module by a method on task vectors; write the adapter of `rank` nearest to that.

    `own`: the method's parameters of each adapter, `shared`: those of all. Nearest by singular values (Eckart and Young
    1936), each shared out to both factors as its root. Memory: (adapters + 3) times the largest weight, float32.
    `advance` is told of every module.
    Errors: LamarckError where the method needs more than differences, or the adapters do not fit together.
    """
    from lamarck.merge.draws import draw_for

    chosen = get_method(method)
    if chosen.base == "unused":
        raise LamarckError(f"{method} does not act on differences to a base: choose task_arithmetic, ties or della")
    if chosen.most is not None and len(adapters) > chosen.most:
        raise LamarckError(f"{method} takes {chosen.most} model beside the base, not {len(adapters)}: choose another")
    read = [read_adapter(path) for path in adapters]
    _check_fit(adapters, read)
    parameters = [_values(chosen, values, per_model=True) for values in own]
    common = _values(chosen, shared or {}, per_model=False)
    modules, lost, norms = {}, {}, {}
    for module in _modules(read):
        shape = next(adapter.modules[module] for adapter in read if module in adapter.modules)
        size = (len(shape.b), shape.a.shape[1])
        inputs = Inputs(
            load=[_product(adapter, module, size) for adapter in read],
            own=list(parameters),
            shared=common,
            draws=[draw_for(seed, "adapters", module, i) for i in range(len(read))],
            load_base=_zeros(size),
        )
        difference = chosen.merge(inputs)
        modules[module] = _nearest(difference, rank)
        norms[module] = float(difference.norm())
        lost[module] = float((difference - modules[module].b @ modules[module].a).norm())
        advance(1)
    _write(output, read[0].config, modules, rank)
    whole = math.hypot(*norms.values())
    return Residual(
        total=math.hypot(*lost.values()) / whole if whole else 0.0,
        modules={module: lost[module] / norms[module] if norms[module] else 0.0 for module in modules},
    )


def _modules(adapters: Sequence[PlainAdapter]) -> list[str]:
    return sorted({module for adapter in adapters for module in adapter.modules})


def _check_fit(paths: Sequence[Path], adapters: Sequence[PlainAdapter]) -> None:
    sizes: dict[str, tuple[int, int]] = {}
    for path, adapter in zip(paths, adapters, strict=True):
        if not adapter.modules:
            raise LamarckError(f"{path} changes no module")
        for module, factors in adapter.modules.items():
            size = (len(factors.b), factors.a.shape[1])
            if sizes.setdefault(module, size) != size:
                raise LamarckError(f"{path} is of another base: {module} is {size} there, {sizes[module]} before")


def _values(method: MergeMethod, given: Mapping[str, Any], per_model: bool) -> dict[str, Any]:
    declared = {name: each for name, each in method.parameters.items() if each.per_model == per_model}
    for name in given:
        if name not in declared:
            raise LamarckError(f"{method.name} has no parameter {name!r} here: {nearest(name, declared)}")
    values = {name: given.get(name, each.default) for name, each in declared.items()}
    for name, value in values.items():
        if value is None:
            raise LamarckError(f"{method.name} needs {name}")
    return values


def _product(adapter: PlainAdapter, module: str, size: tuple[int, int]) -> "Callable[[], Tensor]":
    def load() -> "Tensor":
        factors = adapter.modules.get(module)
        product: Tensor = factors.b @ factors.a if factors else _zeros(size)()
        return product

    return load


def _zeros(size: tuple[int, int]) -> "Callable[[], Tensor]":
    import torch

    return lambda: torch.zeros(size)


def _nearest(difference: "Tensor", rank: int) -> LowRankFactors:
    """The factors of `rank` whose product is nearest to `difference`; padded with zeros where its rank is lower."""
    import torch

    u, s, v = torch.linalg.svd(difference, full_matrices=False)
    roots = s[:rank].sqrt()
    return _padded(roots[:, None] * v[:rank], u[:, :rank] * roots, rank)


def _padded(a: "Tensor", b: "Tensor", rank: int) -> LowRankFactors:
    """The same product with `rank` rows of a and columns of b: the further ones are zero."""
    from torch.nn.functional import pad

    missing = rank - len(a)
    return LowRankFactors(pad(a, (0, 0, 0, missing)), pad(b, (0, missing)))


def _write(output: Path, config: Mapping[str, Any], modules: Mapping[str, LowRankFactors], rank: int) -> None:
    from safetensors.torch import save_file

    if output.exists():
        raise LamarckError(f"{output} is there already: name a directory that is not")
    targets = sorted({module.rsplit(".", 1)[-1] for module in modules})
    changed = {
        "r": rank, "lora_alpha": rank, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {},
        "target_modules": targets, "inference_mode": True,
    }  # fmt: skip
    tensors = {}
    for module, factors in modules.items():
        tensors[module + A] = factors.a.contiguous()
        tensors[module + B] = factors.b.contiguous()
    with atomic_directory(output) as directory:
        write_json(directory / CONFIG, {**config, **changed})
        save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
