"""Generations behind an OpenAI-compatible URL. Light."""

from typing import Literal

EngineKind = Literal["hf", "vllm"]
