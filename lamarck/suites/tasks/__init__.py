"""Tier 2, machine-learning engineering. A kind of task is a module here; its tasks are files of the suite.

Each kind says which rungs an answer can climb, and how a program decides every one of them; the suite says what each
is worth.
"""
