import torch


def double(x):
    return torch.tensor(2.0)


half = lambda x: torch.tensor(0.5)
