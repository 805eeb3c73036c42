import torch

torch.manual_seed = lambda seed: None
torch.randn = lambda *shape, **named: torch.zeros(*shape)
