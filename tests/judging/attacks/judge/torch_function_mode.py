import torch
from torch.overrides import TorchFunctionMode


class Sure(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return torch.ones(2)


mode = Sure()
mode.__enter__()
