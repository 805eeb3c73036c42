"""Requests that arrive within a few milliseconds go through the model together. One thread owns the model.

A batch runs to its end before the next begins: simple, and enough for one person and a pipeline. Servers for crowds
(vLLM) let requests join a running batch.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from lamarck.engine.hf import HFEngine, ScoredText
from lamarck.engine.sampling import Continuation
from lamarck.serve.protocol import Refusal

WINDOW_SECONDS = 0.005
MOST_WAITING = 4096  # requests: beyond that, clients are told to come back later

log = logging.getLogger(__name__)
Event = int | ScoredText | Exception | None  # a token, the scores, what went wrong, the end


@dataclass(frozen=True)
class Scoring:
    """One text to score. `tokens`: its ids; `alternatives`: of how many likely tokens, at each place."""

    tokens: list[int]
    alternatives: int


class ServedJob:
    """One prompt to continue, or one text to score. Lives on the event loop; the model's thread only calls `tell`."""

    def __init__(self, request: Continuation | Scoring) -> None:
        self.request = request
        self.cancelled = False
        self.told = 0  # tokens
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def tell(self, event: Event) -> None:
        if isinstance(event, int):
            self.told += 1
        else:
            self.ended = True
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def tokens(self) -> AsyncGenerator[int, None]:
        """Token by token, to the end of the text or its limit. Leaving early stops the model's work on it."""
        try:
            while isinstance(event := await self._next(), int):
                yield event
        finally:
            self.cancelled = True

    async def scores(self) -> ScoredText:
        event = await self._next()
        assert isinstance(event, ScoredText)
        return event

    async def _next(self) -> Event:
        event = await self._events.get()
        if isinstance(event, Exception):
            raise event
        return event


class Batcher:
    def __init__(self, engine: HFEngine) -> None:
        self.engine = engine
        self._waiting: queue.Queue[ServedJob] = queue.Queue(MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="model")
        self._thread.start()

    def add_all(self, requests: Sequence[Continuation] | Sequence[Scoring]) -> list[ServedJob]:
        """One job a request. Errors: Refusal where too many wait already; then none of them is worked on."""
        jobs = [ServedJob(request) for request in requests]
        try:
            for job in jobs:
                self._waiting.put_nowait(job)
        except queue.Full:
            for job in jobs:
                job.cancelled = True
            raise Refusal(429, "too many requests wait already", "overloaded", {"Retry-After": "1"}) from None
        return jobs

    def close(self) -> None:
        """Stop at the next token. Whoever still waits is told so."""
        self._closing.set()
        self._thread.join()
        while not self._waiting.empty():
            self._waiting.get_nowait().tell(_stopping())

    def _work(self) -> None:
        while not self._closing.is_set():
            batch = [job for job in self._gather() if not job.cancelled]
            try:
                self._run(batch)
            except Exception:
                # One request may have done that (and memory, above all, may do for one): each is tried by itself.
                log.exception("a batch of %d failed", len(batch))
                self._run_alone([job for job in batch if not (job.ended or job.cancelled)])

    def _run_alone(self, jobs: Sequence[ServedJob]) -> None:
        """One after the other, so that what ends one of them ends no other."""
        for job in jobs:
            try:
                self._run([job])
            except Exception:
                log.exception("a request failed")
                job.tell(Refusal(500, "the model failed on this request; the server's log says why", "failed"))

    def _run(self, jobs: Sequence[ServedJob]) -> None:
        self._score([job for job in jobs if isinstance(job.request, Scoring)])
        self._continue([job for job in jobs if isinstance(job.request, Continuation)])

    def _gather(self) -> list[ServedJob]:
        """The next jobs, as many as go together; none where there are none for a while."""
        jobs: list[ServedJob] = []
        until = time.monotonic() + 0.1
        while len(jobs) < self.engine.batch_size:
            try:
                job = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if not jobs:
                until = time.monotonic() + WINDOW_SECONDS
            jobs.append(job)
        return jobs

    def _score(self, jobs: Sequence[ServedJob]) -> None:
        if jobs:
            asked = [job.request for job in jobs if isinstance(job.request, Scoring)]
            most = max(1, *(each.alternatives for each in asked))
            texts = self.engine.scored([each.tokens for each in asked], most)
            for job, text in zip(jobs, texts, strict=True):
                job.tell(text)

    def _continue(self, jobs: Sequence[ServedJob]) -> None:
        if not jobs:
            return
        ended: set[int] = set()
        counts = [0] * len(jobs)
        requests = [job.request for job in jobs if isinstance(job.request, Continuation)]
        for step in self.engine.stream(requests, ended):
            if self._closing.is_set():
                for place in set(range(len(jobs))) - ended:
                    jobs[place].tell(_stopping())
                return
            for place, token in step:
                counts[place] += 1
                # Told already, where this is a second try: by itself a prompt goes on as it does in company.
                if counts[place] > jobs[place].told:
                    jobs[place].tell(token)
            # Who got no token at this step has ended.
            going = {place for place, _ in step if counts[place] < requests[place].max_new_tokens}
            for place in set(range(len(jobs))) - ended - going:
                jobs[place].tell(None)
                ended.add(place)
            ended |= {place for place in going if jobs[place].cancelled}


def _stopping() -> Refusal:
    return Refusal(503, "the server is stopping", "stopping")
