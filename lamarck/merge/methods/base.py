"""What every merge method is: a class over the tensors of one name. It declares its parameters and its inputs once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from lamarck.merge.draws import Draw

Value = bool | float
Parameters = dict[str, "Parameter"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method. `default` None: it must be given. Bounds are included."""

    per_model: bool
    default: Value | None = None
    within: tuple[float, float] | None = None

    @property
    def is_flag(self) -> bool:
        return isinstance(self.default, bool)


@dataclass
class Inputs:
    """The tensors of one output tensor, equal in shape and dtype, and the parameters that hold for it.

    `load_base` and `load[i]` read a tensor whenever they are called; the method owns what it gets and may
    overwrite it.
    `own[i]` are the parameters of the i-th source, `shared` those of the tensor. `base_weight` is
    added to the sum of the weights (see reading.py, as-written).
    """

    load: list["Callable[[], Tensor]"]
    own: list[Mapping[str, float]]
    shared: Mapping[str, Value]
    draws: list["Draw"]
    load_base: "Callable[[], Tensor] | None" = None
    base_weight: float = 0.0


class MergeMethod(ABC):
    """A way to make one tensor of several. Without state: equal inputs give equal outputs."""

    name: ClassVar[str]
    parameters: ClassVar[Parameters]
    base: ClassVar[str] = "unused"  # required | optional | unused: whether one of the models is the base
    fewest: ClassVar[int] = 1  # models beside the base
    most: ClassVar[int | None] = None
    random: ClassVar[bool] = False

    @abstractmethod
    def merge(self, inputs: Inputs) -> "Tensor":
        """The output tensor, in the inputs' shape and dtype. Memory: at most (models, base included, + 2) tensors."""
