import torch


def double(x):
    return torch.full((2,), float("nan"))


half = double
