"""Answers in the making, and how they leave: whole, or piece by piece as server-sent events."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from lamarck.serve.batcher import ServedJob
from lamarck.serve.protocol import Refusal
from lamarck.serve.text import Text

# (index, text, finish reason) -> a choice, or a piece of one, in OpenAI's words.
Render = Callable[[int, str, str | None], dict[str, Any]]


@dataclass
class OpenAnswer:
    """One answer in the making."""

    job: ServedJob
    text: Text
    prompt_tokens: int
    limit: int

    @property
    def finish_reason(self) -> Literal["stop", "length"]:
        return "length" if self.text.count == self.limit and not self.text.stopped else "stop"

    async def pieces(self) -> AsyncGenerator[str, None]:
        async with contextlib.aclosing(self.job.tokens()) as tokens:
            async for token in tokens:
                if piece := self.text.add(token):
                    yield piece
                if self.text.stopped:
                    break
        if rest := self.text.end():
            yield rest

    async def whole(self) -> str:
        return "".join([piece async for piece in self.pieces()])


async def events(
    choices: list[OpenAnswer],
    envelope: dict[str, Any],
    wants_usage: bool,
    part: Render,
) -> AsyncIterator[str]:
    """Server-sent events, choice after choice; an error that comes too late for a status is an event too."""
    try:
        for index, choice in enumerate(choices):
            async with contextlib.aclosing(choice.pieces()) as pieces:
                async for piece in pieces:
                    yield _event(envelope | {"choices": [part(index, piece, None)]})
            yield _event(envelope | {"choices": [part(index, "", choice.finish_reason)]})
        if wants_usage:
            yield _event(envelope | {"choices": [], "usage": total(choices)})
        yield "data: [DONE]\n\n"
    except Refusal as refusal:
        yield _event(refusal.body())
    finally:
        for choice in choices:
            choice.job.cancelled = True


async def unless_gone(request: Request, answers: list[Coroutine[Any, Any, str]]) -> list[str] | None:
    """What the answers come to; None, and their work ended, where the client hangs up first."""
    working: asyncio.Future[list[str]] = asyncio.gather(*answers)
    leaving: asyncio.Future[Any] = asyncio.ensure_future(_gone(request))
    try:
        pending: set[asyncio.Future[Any]] = {working, leaving}
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        return list(working.result()) if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def total(choices: list[OpenAnswer]) -> dict[str, int]:
    return usage(sum(choice.prompt_tokens for choice in choices), sum(choice.text.count for choice in choices))


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
