"""Make the tensors of one document: read, arrange, merge, cast. One output tensor at a time.

Memory: a tensor of every model (base included) and at most two more. Rows that a model lacks are made once a tensor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from lamarck.errors import LamarckError
from lamarck.merge.draws import draw_for
from lamarck.merge.layout import Layout, Output, TensorPiece
from lamarck.merge.methods.base import Inputs
from lamarck.merge.tokens import arranged, missing_rows
from lamarck.merge.weights import ModelView, read_tensor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Maker:
    """Makes tensors of `layout` from the models' files. `seed`: what random methods descend from."""

    layout: Layout
    models: Mapping[str, ModelView]
    seed: int

    def make(self, name: str) -> "Tensor":
        """The output tensor of this name, as it is written. Errors: LamarckError where it is not finite."""
        import torch

        from lamarck.merge.blocks import is_finite

        output = self._outputs[name]
        filling = self._filling(output) if output.rows_are_tokens else None
        document = self.layout.document.name
        inputs = Inputs(
            load=[partial(self._read, output, piece, filling) for piece in output.pieces],
            own=list(output.own),
            shared=output.shared,
            draws=[draw_for(self.seed, document, name, i) for i in range(len(output.pieces))],
            load_base=partial(self._read, output, output.base, filling) if output.base else None,
            base_weight=output.base_weight,
        )
        merged = self.layout.method.merge(inputs)
        if not is_finite(merged):
            raise LamarckError(f"{document}: {name} came out as NaN or infinity: choose smaller weights")
        return merged.to(getattr(torch, output.header.dtype))

    @cached_property
    def _outputs(self) -> dict[str, Output]:
        return {output.name: output for output in self.layout.outputs}

    def _read(self, output: Output, piece: TensorPiece, filling: "Tensor | None") -> "Tensor":
        tensor = self._raw(output, piece)
        rows = self.layout.vocabulary.rows
        return arranged(tensor, rows[piece.model], filling) if output.rows_are_tokens and rows else tensor

    def _raw(self, output: Output, piece: TensorPiece) -> "Tensor":
        header = self.models[piece.model].tensors[piece.tensor]
        return read_tensor(header, piece.tensor, piece.model, output.dtype)

    def _filling(self, output: Output) -> "Tensor | None":
        """Rows for the tokens that a model lacks: the base's, or the mean of those that have one; else zero. None where
        every model has every token."""
        import torch

        from lamarck.merge.blocks import row_blocks

        vocabulary = self.layout.vocabulary
        rows = vocabulary.rows
        assert rows is not None
        pieces = {piece.model: piece for piece in (*output.pieces, *([output.base] if output.base else []))}
        if not any(-1 in rows[model] for model in pieces):
            return None
        filling = torch.zeros(output.header.shape, dtype=getattr(torch, output.dtype))
        counts = torch.zeros(output.header.shape[0])
        for model, wanted in missing_rows(vocabulary, self.layout.document.base_model).items():
            piece = pieces.get(model)
            if piece is None:
                continue
            tensor = self._raw(output, piece)
            index = torch.tensor(rows[model])
            for part in row_blocks(len(wanted), tensor.shape[1]):
                row = torch.tensor(wanted[part])
                filling[row] += tensor[index[row]]
                counts[row] += 1
        return filling.div_(counts.clamp_(min=1)[:, None])
