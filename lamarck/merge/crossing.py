"""Two adapters of one founder become one, as a crossing's settings say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lamarck.config.crossing import CONCATENATE, Crossing
from lamarck.errors import LamarckError, nearest
from lamarck.merge.adapters import Residual, concatenate, merge_products, rank_of


@dataclass(frozen=True)
class Crossed:
    """`residual`: what cutting to the rank lost; None where nothing was cut."""

    rank: int
    residual: Residual | None


def check_crossing(crossing: Crossing) -> None:
    """Errors: LamarckError, with the nearest name, for a method or a parameter that there is not."""
    if crossing.method == CONCATENATE:
        if crossing.rank is not None or crossing.parameters:
            given = "a rank" if crossing.rank is not None else f"{min(crossing.parameters)!r}"
            raise LamarckError(
                f"{CONCATENATE} keeps all of both parents and takes no {given.removeprefix('a ')}: leave it out, or "
                "choose task_arithmetic, which cuts to a rank"
            )
        return
    from lamarck.merge.methods import METHODS

    # On differences to a base, of two models beside it.
    usable = {
        name: method
        for name, method in METHODS.items()
        if method.base != "unused" and (method.most is None or method.most >= 2)
    }
    if crossing.method not in usable:
        raise LamarckError(
            f"there is no crossing by {crossing.method!r}: {nearest(crossing.method, [CONCATENATE, *usable])}"
        )
    declared = usable[crossing.method].parameters
    for name in crossing.parameters:
        if name == "weight":
            raise LamarckError("the parents' weights stand in `weights`, one for each: take `weight` out of parameters")
        if name not in declared:
            raise LamarckError(f"{crossing.method} has no parameter {name!r}: {nearest(name, declared)}")
    if "weight" not in declared and crossing.weights != Crossing().weights:
        raise LamarckError(f"{crossing.method} weighs its models itself: leave `weights` out")


def cross(
    adapters: tuple[Path, Path],
    output: Path,
    crossing: Crossing,
    seed: int,
    advance: Callable[[int], None] = lambda modules: None,
) -> Crossed:
    """Write the child's adapter to `output`, which is not there yet. `advance` is told of every module, and may raise.

    Errors: as `check_crossing`, and where the adapters do not fit together.
    """
    check_crossing(crossing)
    if crossing.method == CONCATENATE:
        return Crossed(concatenate(adapters, output, crossing.weights, advance), None)
    from lamarck.merge.methods import get_method

    declared = get_method(crossing.method).parameters
    own = {name: float(value) for name, value in crossing.parameters.items() if declared[name].per_model}
    shared = {name: value for name, value in crossing.parameters.items() if not declared[name].per_model}
    each = [own | ({"weight": weight} if "weight" in declared else {}) for weight in crossing.weights]
    rank = crossing.rank or sum(map(rank_of, adapters))
    return Crossed(rank, merge_products(adapters, output, crossing.method, rank, each, shared, seed, advance))
