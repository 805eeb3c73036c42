"""The merge methods by name."""

from lamarck.errors import LamarckError, nearest
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
    raise LamarckError(f"there is no merge method {name!r}: {nearest(name, METHODS)}")
