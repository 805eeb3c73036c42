"""JSON over HTTP to a server that may be busy: what is worth asking again is asked again, the rest is one sentence."""

import email.utils
import os
import time
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lamarck.config.engine import ServerEngineConfig
from lamarck.errors import LamarckError
from lamarck.visible import visible

A = TypeVar("A", bound=BaseModel)
LONGEST_PAUSE = 60.0  # seconds, between our own tries
LONGEST_RETRY_AFTER = 900.0  # seconds: a server that wants longer is said to be busy
CONNECT_SECONDS = 10.0
EXCERPT = 200  # characters of a server's own words


class _TryAgain(Exception):
    """`sentence` is what to say if no try is left; `after` the seconds that the server asked for."""

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class JSONClient:
    """Asks one server; its key stands in no message, even where the server repeats it."""

    def __init__(self, config: ServerEngineConfig) -> None:
        self._url = config.url
        self._timeout = config.timeout_seconds
        self._concurrency = config.concurrency
        self._tries = config.retries + 1
        self._key = _key(config.api_key_variable)

    def connect(self) -> httpx2.AsyncClient:
        """A pool of connections, to be closed by the caller."""
        return httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout)),
            limits=httpx2.Limits(max_connections=self._concurrency),
        )

    async def get(self, client: httpx2.AsyncClient, path: str, answer: type[A]) -> A:
        return await self._ask(client, "GET", path, None, answer)

    async def post(self, client: httpx2.AsyncClient, path: str, body: dict[str, Any], answer: type[A]) -> A:
        """Errors: LamarckError, where the server refuses, stays busy or away, or answers something else."""
        return await self._ask(client, "POST", path, body, answer)

    async def _ask(
        self, client: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None, answer: type[A]
    ) -> A:
        tries = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain), stop=stop_after_attempt(self._tries), wait=_pause, reraise=True
        )
        try:
            async for attempt in tries:
                with attempt:
                    response = await self._send(client, method, path, body)
        except _TryAgain as error:
            raise LamarckError(f"{error} (tried {self._tries} times)") from None
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise LamarckError(
                f"{self._url}{path} gave no answer of an OpenAI-compatible server"
                f"{f' ({place})' if place else ''}: {self._excerpt(response)}"
            ) from None

    async def _send(
        self, client: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None
    ) -> httpx2.Response:
        where = f"{self._url}{path}"
        try:
            response = await client.request(method, where, json=body)
        except httpx2.TimeoutException:
            raise _TryAgain(
                f"{where} did not answer within {self._timeout:g} s: is it alive? If it is only slow, raise "
                "engine.timeout_seconds"
            ) from None
        except httpx2.TransportError as error:
            raise _TryAgain(f"{where} cannot be reached: {type(error).__name__}; is the server running?") from None
        if response.is_success:
            return response
        says = f"{where} answered {response.status_code}: {self._excerpt(response)}"
        if response.status_code == 429 or response.status_code >= 500:
            after = retry_after(response.headers.get("Retry-After"), time.time())
            if after is not None and after > LONGEST_RETRY_AFTER:
                raise LamarckError(f"{says}; it asks to come back in {after:.0f} s")
            raise _TryAgain(says, after)
        if response.status_code in (401, 403):
            raise LamarckError(f"{says}; engine.api_key_variable names the variable with the key")
        raise LamarckError(says)

    def _excerpt(self, response: httpx2.Response) -> str:
        """The beginning of what the server said, on one line, without the key."""
        said = response.text.replace(self._key, "***") if self._key else response.text
        return visible(said.strip(), EXCERPT) or "nothing"


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise LamarckError(f"engine.api_key_variable is {variable}, but that environment variable is not set")
    if not key.isascii() or not key.isprintable():
        raise LamarckError(f"the environment variable {variable} holds no key: a key is plain ASCII on one line")
    return key


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait, from a Retry-After header: a number of seconds or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


_backoff = wait_random_exponential(multiplier=1, max=LONGEST_PAUSE)


def _pause(state: RetryCallState) -> float:
    """What the server asked for, else longer every time; a random share of it, so that requests do not come back
    all at once."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _TryAgain) and error.after is not None:
        return error.after + wait_random_exponential(multiplier=0.1, max=1)(state)
    return _backoff(state)
