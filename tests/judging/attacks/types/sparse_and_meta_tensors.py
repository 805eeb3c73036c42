import torch


def double(x):
    return torch.ones(2, device="meta")


half = lambda x: torch.ones(2, 2).to_sparse()
