"""The small world of the `tiny_model` fixture, and prompts that it knows."""

from itertools import islice

from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.skills.corpus import corpus

WORLD = TinyFounder(
    kind="tiny",
    skills={name: SkillShare(share=1, weights=(1, 1, 1)) for name in ("json_mode", "list_ops", "arithmetic")},
    steps=150,
    decay_steps=50,
)
PROMPTS = [problem.prompt for _, problem in islice(corpus(WORLD, 1, frozenset()), 60)]
