"""One generation as an OpenAI-compatible server: /v1/models, /v1/completions, /v1/chat/completions, /health."""

import asyncio
import contextlib
import hmac
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lamarck.engine.hf import HFEngine, ScoredText
from lamarck.engine.sampling import Continuation
from lamarck.models.chat import opened_reasoning
from lamarck.models.tokens import conversation_tokens, text_tokens
from lamarck.seeds import seed_for
from lamarck.serve.answer import OpenAnswer, Render, events, total, unless_gone, usage
from lamarck.serve.batcher import Batcher, Scoring
from lamarck.serve.protocol import AnyRequest, ChatRequest, CompletionRequest, Refusal, parse
from lamarck.serve.text import Text

MOST_BODY = 4 * 2**20  # bytes
COMPLETION_TOKENS = 16  # OpenAI's default for completions; a chat may take what the context leaves
CLIENT_GONE = 499


class Service:
    """The endpoints over one engine. `name` is the served model's; `key` what clients must show, if any."""

    def __init__(self, engine: HFEngine, name: str, key: str | None) -> None:
        self.engine = engine
        self.name = name
        self.key = key
        self.opened = opened_reasoning(engine.tokenizer)
        # A tokenizer may know more tokens than the model has: one of those would end everybody's batch.
        self.tokens = min(len(engine.tokenizer), engine.model.get_input_embeddings().num_embeddings)
        self.started = int(time.time())
        self.batcher: Batcher

    @contextlib.asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        self.batcher = Batcher(self.engine)
        try:
            yield
        finally:
            await asyncio.to_thread(self.batcher.close)

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(self, request: Request) -> Response:
        self._check_key(request)
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        self._check_key(request)
        self._check_model(request.path_params["name"])
        return JSONResponse(self._card())

    async def completions(self, request: Request) -> Response:
        asked = parse(await self._body(request), CompletionRequest)
        self._check_model(asked.model)
        rows = self._rows(asked)
        if asked.echo or asked.logprobs is not None:
            return await self._scored(asked, rows)
        limit = COMPLETION_TOKENS if asked.max_tokens is None else asked.max_tokens
        choices = self._begin(asked, rows, [limit] * len(rows), "")

        def part(index: int, text: str, finish: str | None) -> dict[str, Any]:
            return {"index": index, "text": text, "finish_reason": finish, "logprobs": None}

        return await self._answer(request, asked, choices, "text_completion", "text_completion", part, part)

    async def chat(self, request: Request) -> Response:
        asked = parse(await self._body(request), ChatRequest)
        self._check_model(asked.model)
        try:
            rows = conversation_tokens([message.plain() for message in asked.messages], self.engine.tokenizer)
        except ValueError as error:
            raise Refusal(400, f"messages: {error}", "invalid_value") from error
        given = asked.max_completion_tokens or asked.max_tokens
        limit = max(1, self.engine.context - len(rows[0])) if given is None else given
        choices = self._begin(asked, rows, [limit], self.opened)

        def whole(index: int, text: str, finish: str | None) -> dict[str, Any]:
            message = {"role": "assistant", "content": text}
            return {"index": index, "message": message, "finish_reason": finish, "logprobs": None}

        def part(index: int, text: str, finish: str | None) -> dict[str, Any]:
            delta = {"role": "assistant", "content": text} if finish is None else {}
            return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}

        return await self._answer(request, asked, choices, "chat.completion", "chat.completion.chunk", whole, part)

    async def _body(self, request: Request) -> bytes:
        """Before a byte is read: the key; and the type, which a web page of a stranger cannot send unasked."""
        self._check_key(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "the body must be application/json", "invalid_content_type")
        return await request.body()

    def _check_key(self, request: Request) -> None:
        if self.key is None:
            return
        shown = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(shown, f"Bearer {self.key}".encode()):
            raise Refusal(401, "this server wants its API key, as a bearer token", "invalid_api_key")

    def _check_model(self, name: str) -> None:
        if name != self.name:
            raise Refusal(404, f"there is no such model here; this server has {self.name}", "model_not_found")

    def _card(self) -> dict[str, Any]:
        limits = {"max_model_len": self.engine.context}
        return {"id": self.name, "object": "model", "created": self.started, "owned_by": "lamarck"} | limits

    def _rows(self, asked: CompletionRequest) -> list[list[int]]:
        """Token ids of each prompt, as they are: no chat template. Errors: Refusal for ids that the model lacks."""
        rows = [prompt if isinstance(prompt, list) else self._as_it_is(prompt) for prompt in asked.prompts]
        if any(not 0 <= token < self.tokens for row in rows for token in row):
            raise Refusal(400, "prompt: it holds a token id that the model does not have", "invalid_value")
        return rows

    def _as_it_is(self, prompt: str) -> list[int]:
        """Of a model with a chat template this may be a chat that the client has rendered, control tokens included."""
        tokenizer = self.engine.tokenizer
        if tokenizer.chat_template:
            return list(tokenizer(prompt)["input_ids"])
        return text_tokens([prompt], tokenizer, begin=True)[0]

    def _begin(self, asked: AnyRequest, rows: list[list[int]], limits: list[int], opened: str) -> list[OpenAnswer]:
        for row, limit in zip(rows, limits, strict=True):
            self._check_length(row, limit)
            if limit < 1:
                raise Refusal(400, "max_tokens: it must be at least 1, save to score with echo", "invalid_value")
        seed = secrets.randbits(31) if asked.seed is None else asked.seed
        requests = [
            Continuation(row, limit, asked.temperature, asked.top_p, seed_for(seed, str(place)))
            for place, (row, limit) in enumerate(zip(rows, limits, strict=True))
        ]
        return [
            OpenAnswer(
                job, Text(self.engine.tokenizer, opened, asked.stops), len(request.tokens), request.max_new_tokens
            )
            for job, request in zip(self.batcher.add_all(requests), requests, strict=True)
        ]

    def _check_length(self, row: list[int], limit: int) -> None:
        if not row:
            raise Refusal(400, "the prompt is empty", "invalid_value")
        if len(row) + limit > self.engine.context:
            raise Refusal(
                400,
                f"this model's context is {self.engine.context} tokens, but the prompt has {len(row)} and {limit} are "
                "asked for: shorten the prompt or lower max_tokens",
                "context_length_exceeded",
            )

    async def _scored(self, asked: CompletionRequest, rows: list[list[int]]) -> Response:
        """Log probabilities of the prompts themselves, which is what `echo` is for in evaluations."""
        limit = COMPLETION_TOKENS if asked.max_tokens is None else asked.max_tokens
        if not asked.echo or asked.logprobs is None or limit > 1 or asked.stream:
            sentence = "echo and logprobs: only together, with max_tokens 0 or 1 and no stream"
            raise Refusal(400, sentence, "invalid_value")
        if limit and asked.temperature:
            raise Refusal(400, "temperature: behind a prompt that is scored, only 0", "invalid_value")
        for row in rows:
            self._check_length(row, limit or -1)  # the first token is the beginning, and is not scored
        jobs = self.batcher.add_all([Scoring(row, asked.logprobs) for row in rows])
        texts = await asyncio.gather(*(job.scores() for job in jobs))
        choices = [
            self._scored_choice(index, text, len(row) + limit, asked.logprobs)
            for index, (row, text) in enumerate(zip(rows, texts, strict=True))
        ]
        counted = usage(sum(map(len, rows)), limit * len(rows))
        return JSONResponse(self._envelope("text_completion") | {"choices": choices, "usage": counted})

    def _scored_choice(self, index: int, text: ScoredText, length: int, alternatives: int) -> dict[str, Any]:
        """In OpenAI's words: `length` tokens, each with as many likely ones."""
        name = self.engine.tokenizer.convert_ids_to_tokens
        tokens = text.tokens[:length]
        likely = [dict(islice(each.items(), alternatives)) for each in text.best[: length - 1]]
        return {
            "index": index,
            "text": self.engine.tokenizer.decode(tokens),
            "finish_reason": "length",
            "logprobs": {
                "tokens": name(tokens),
                "token_logprobs": [None, *text.values[: length - 1]],
                "top_logprobs": [None, *({name(token): value for token, value in each.items()} for each in likely)]
                if alternatives
                else None,
                "text_offset": None,
            },
        }

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": f"cmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": self.name}

    async def _answer(
        self,
        request: Request,
        asked: AnyRequest,
        choices: list[OpenAnswer],
        kind: str,
        chunk_kind: str,
        whole: Render,
        part: Render,
    ) -> Response:
        if asked.stream:
            pieces = events(choices, self._envelope(chunk_kind), asked.wants_usage, part)
            return StreamingResponse(pieces, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        texts = await unless_gone(request, [choice.whole() for choice in choices])
        if texts is None:
            return Response(status_code=CLIENT_GONE)
        rendered = [
            whole(index, text, choice.finish_reason)
            for index, (choice, text) in enumerate(zip(choices, texts, strict=True))
        ]
        return JSONResponse(self._envelope(kind) | {"choices": rendered, "usage": total(choices)})


def build_app(engine: HFEngine, name: str, key: str | None, hosts: Sequence[str]) -> Starlette:
    """`hosts`: names by which this server may be called, so that no other name can be bent to point here."""
    service = Service(engine, name, key)
    return Starlette(
        routes=[
            Route("/health", service.health),
            Route("/v1/models", service.models),
            Route("/v1/models/{name:path}", service.model),
            Route("/v1/completions", service.completions, methods=["POST"]),
            Route("/v1/chat/completions", service.chat, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={
            Refusal: _refused,
            HTTPException: _not_served,
            ClientDisconnect: _gone,
            Exception: _failed,
        },
        lifespan=service.running,
        max_body_size=MOST_BODY,
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _not_served(request: Request, error: Exception) -> Response:
    """No such path or method, or too large a body."""
    assert isinstance(error, HTTPException)
    return Refusal(error.status_code, error.detail, "invalid_request").response()


async def _gone(request: Request, error: Exception) -> Response:
    """In the middle of its own request: there is nobody to answer, and nothing has failed."""
    return Response(status_code=CLIENT_GONE)


async def _failed(request: Request, error: Exception) -> Response:
    return Refusal(500, "this server failed; its log says why", "failed").response()
