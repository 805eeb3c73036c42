"""Tier 2, machine-learning engineering: a task is a YAML file, a kind of task is a module here.

Each kind says which rungs an answer can climb, one point each, and how a program decides every one of them.
"""
