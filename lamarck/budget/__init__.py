"""What a step takes before it is done: memory, tokens, hours and dollars, from a model's shape. Light: no torch.

shape.py    a model's shape, its parameters and its adapter's, counted
memory.py   bytes on one GPU, part by part
work.py     tokens of each step
machine.py  kinds of machines: memory, speed, price
estimate.py a step on a machine: does it fit, what does it cost, and what would fit instead
"""
