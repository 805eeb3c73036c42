"""The engine behind a URL: any OpenAI-compatible server, asked with many requests side by side.

Which weights a server has cannot be seen from outside. A name that ends with their digest, which `lamarck serve` gives,
is believed; a name that the configuration sets is used, and every record then says that nobody verified it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx2
from pydantic import BaseModel

from lamarck.config.engine import ServerEngineConfig
from lamarck.engine.http import JSONClient
from lamarck.errors import LamarckError
from lamarck.lineage.digest import is_name_of, model_digest
from lamarck.models.chat import BEFORE_ANSWER, END_OF_THINKING, THINK, opened_reasoning
from lamarck.models.opening import open_tokenizer
from lamarck.models.tokens import text_tokens
from lamarck.seeds import seed_for

# A text that ended otherwise (a filter, an abort) is not what the model would have written.
FinishReason = Literal["stop", "length"]


class Usage(BaseModel):
    """Tokens, as the server counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Text(BaseModel):
    text: str
    finish_reason: FinishReason


class _Logprobs(BaseModel):
    token_logprobs: list[float | None]


class _Scored(BaseModel):
    logprobs: _Logprobs | None = None


class _ServedMessage(BaseModel):
    """`reasoning_content` and `reasoning` are two names that servers give what a model thought."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Chat(BaseModel):
    message: _ServedMessage
    finish_reason: FinishReason


class _Completion(BaseModel):
    choices: tuple[_Text]
    usage: Usage | None = None


class _ChatCompletion(BaseModel):
    choices: tuple[_Chat]
    usage: Usage | None = None


class _Scoring(BaseModel):
    choices: tuple[_Scored]
    usage: Usage | None = None


class ServerEngine:
    """`weights` and `change` lie here too: they name what the server must have, and hold the tokenizer."""

    def __init__(self, config: ServerEngineConfig, weights: Path, change: Path | None) -> None:
        self._config = config
        self._http = JSONClient(config)
        self._tokenizer = open_tokenizer(weights)
        self._opened = opened_reasoning(self._tokenizer) if config.chat else ""
        self.model = config.model or self._verified_name(model_digest(weights, change))
        self.usage = Usage()

    @property
    def device_name(self) -> str:
        return "server, weights not verified" if self._config.model else "server"

    def _verified_name(self, model: str) -> str:
        """The name under which the server has exactly these weights. Errors: LamarckError where it has others."""
        if bool(self._tokenizer.chat_template) != self._config.chat:
            has, right = ("has a", "true") if self._tokenizer.chat_template else ("has no", "false")
            raise LamarckError(f"the model {has} chat template: set engine.chat to {right}")
        served = asyncio.run(self._connected(lambda client: self._http.get(client, "/models", _Models)))
        names = [each.id for each in served.data]
        name = next((name for name in names if is_name_of(name, model)), None)
        if name is None:
            raise LamarckError(
                f"{self._config.url} serves {', '.join(names) or 'nothing'}, but needed is a model named "
                f"gN-{model[:12]}: start `lamarck serve` for that generation, or set engine.model for a foreign server"
            )
        return name

    def generate(
        self,
        prompts: list[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        forms: Sequence[str | None] | None = None,
        on_done: Callable[[int], None] = lambda finished: None,
    ) -> list[str]:
        async def answer(client: httpx2.AsyncClient, place: int) -> str:
            body: dict[str, Any] = {"model": self.model, "max_tokens": max_new_tokens, "temperature": temperature}
            if temperature > 0:
                # By place, so that the same prompt asked twice in a batch gets two answers.
                body |= {"top_p": top_p, "seed": seed_for(seed, str(place))}
            form = forms[place] if forms and self._config.forms == "enforced" else None
            if form is not None:
                body |= {"structured_outputs": {"regex": BEFORE_ANSWER + form}}
            text = await self._continue(client, prompts[place], body)
            on_done(1)
            return text

        texts = asyncio.run(self._side_by_side(len(prompts), answer))
        # Where tokens are paid for, the stage's log is where one looks for them.
        print(f"{self.model} so far: {self.usage.prompt_tokens} tokens read, {self.usage.completion_tokens} written")
        return texts

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        """As token ids, so that the text begins where it does with `hf`: at the start-of-sequence token."""
        start = self._tokenizer.bos_token_id
        start = self._tokenizer.eos_token_id if start is None else start
        rows = [[start, *row] for row in text_tokens(texts, self._tokenizer)]

        async def score(client: httpx2.AsyncClient, place: int) -> float:
            body = {"model": self.model, "prompt": rows[place], "max_tokens": 0, "echo": True, "logprobs": 0}
            scoring = await self._http.post(client, "/completions", body, _Scoring)
            self._count(scoring.usage)
            logprobs = scoring.choices[0].logprobs
            values = logprobs.token_logprobs[1:] if logprobs else []
            if len(values) != len(rows[place]) - 1 or None in values:
                raise LamarckError(
                    f"{self._config.url} does not give the log probabilities of a prompt (echo with logprobs): "
                    "score with another server, or with `engine: {kind: hf}`"
                )
            return sum(value for value in values if value is not None)

        return asyncio.run(self._side_by_side(len(rows), score))

    async def _continue(self, client: httpx2.AsyncClient, prompt: str, body: dict[str, Any]) -> str:
        if not self._config.chat:
            completion = await self._http.post(client, "/completions", body | {"prompt": prompt}, _Completion)
            self._count(completion.usage)
            return completion.choices[0].text
        messages = [{"role": "user", "content": prompt}]
        chat = await self._http.post(client, "/chat/completions", body | {"messages": messages}, _ChatCompletion)
        self._count(chat.usage)
        return whole_text(chat.choices[0].message, chat.choices[0].finish_reason, self._opened)

    def _count(self, usage: Usage | None) -> None:
        if usage is None:
            return
        self.usage.prompt_tokens += usage.prompt_tokens
        self.usage.completion_tokens += usage.completion_tokens

    async def _side_by_side(self, number: int, ask: Callable[[httpx2.AsyncClient, int], Awaitable[Any]]) -> list[Any]:
        """What `ask` returns for each place, at most `concurrency` at a time. The first error ends the others."""
        free = asyncio.Semaphore(self._config.concurrency)

        async def one(client: httpx2.AsyncClient, place: int) -> Any:
            async with free:
                return await ask(client, place)

        return await self._connected(lambda client: asyncio.gather(*(one(client, place) for place in range(number))))

    async def _connected(self, use: Callable[[httpx2.AsyncClient], Awaitable[Any]]) -> Any:
        async with self._http.connect() as client:
            return await use(client)


def whole_text(message: _ServedMessage, finish_reason: FinishReason, opened: str) -> str:
    """A message as the model wrote it: its reasoning, which servers may hand out apart, in front in <think> tags.

    `opened` is `<think>` where the chat template has written that: a server that does not part reasoning from answer
    leaves it out.
    """
    reasoning = message.reasoning_content or message.reasoning or ""
    content = message.content or ""
    if not reasoning:
        return content if content.lstrip().startswith(THINK) else opened + content
    if not content and finish_reason == "length":
        return f"{THINK}{reasoning}"
    return f"{THINK}{reasoning}{END_OF_THINKING}{content}"
