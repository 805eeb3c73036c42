"""The merge methods by name."""

import difflib

from lamarck.errors import LamarckError
from lamarck.merge.methods.base import MergeMethod
from lamarck.merge.methods.linear import Linear, Passthrough
from lamarck.merge.methods.model_stock import ModelStock
from lamarck.merge.methods.spherical import NuSlerp, Slerp
from lamarck.merge.methods.task import (
    Breadcrumbs,
    BreadcrumbsTies,
    DareLinear,
    DareTies,
    Della,
    DellaLinear,
    TaskArithmetic,
    Ties,
)

METHODS: dict[str, MergeMethod] = {
    method.name: method
    for method in (
        Linear(), TaskArithmetic(), Slerp(), NuSlerp(), Ties(), DareTies(), DareLinear(), Della(), DellaLinear(),
        Breadcrumbs(), BreadcrumbsTies(), ModelStock(), Passthrough(),
    )
}  # fmt: skip


def get_method(name: str) -> MergeMethod:
    """Errors: LamarckError with the nearest name where there is no such method."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1)
    raise LamarckError(
        f"there is no merge method {name!r}: "
        + (f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(METHODS)}")
    )
