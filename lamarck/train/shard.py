"""The frozen base split over the processes of a run: each keeps a piece of every layer, which is whole only at work.

ZeRO stage 3 (Rajbhandari et al. 2020, arXiv:1910.02054) of what is not trained, by PyTorch's FSDP2. The adapter is
small: every process has it whole, so optimizer, checkpoint and export know nothing of this. Whole
weights that are trained are not split: each process has them, and their optimizer's state.
"""

import torch
from peft import PeftModel
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from lamarck.errors import LamarckError
from lamarck.train.memory import layers_of
from lamarck.train.team import Team


def shard_base(model: PeftModel, team: Team) -> None:
    """Split the base of `model` in place; every process calls this with the same model.

    NF4 weights must be stored as a floating type, since FSDP2 knows no other; bitsandbytes finds their constants again
    at the layer, which keeps them whole. Errors: LamarckError for a model whose layers are not known.
    """
    causal = model.get_base_model()
    decoder = causal.get_decoder()
    layers = layers_of(model)
    if not layers:
        raise LamarckError(
            f"{type(causal).__name__} has no layers that transformers could split over processes: "
            "set machines.train.count to 1"
        )
    mesh = init_device_mesh(team.device.type, (team.size,))
    adapter = {value for name, value in model.named_parameters() if model.base_model.prefix in name}
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=adapter)
    # The root fetches the next layer while one computes. Embedding and head stay whole: the head is needed where memory
    # is fullest, and fetching it there would take more than its piece saves.
    whole = {value for value in decoder.parameters() if not isinstance(value, DTensor)}
    fully_shard(decoder, mesh=mesh, ignored_params=whole)
    if team.device.type == "cuda":
        torch.cuda.empty_cache()  # the whole base was here while it was loaded; NCCL has no use for PyTorch's cache


def base_bytes(model: PeftModel) -> int:
    """Bytes of the base's parameters that this process holds now."""
    own = [value for name, value in model.named_parameters() if model.base_model.prefix not in name]
    pieces = [value.to_local() if isinstance(value, DTensor) else value for value in own]
    return sum(piece.untyped_storage().nbytes() for piece in pieces)
