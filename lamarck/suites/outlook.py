"""What evaluating a model on a suite would take, before it is done: questions and tokens, hours and money. Light."""

from collections import Counter
from dataclasses import dataclass

from lamarck.suites.sections import BenchmarkTask, WritingTask
from lamarck.suites.suite import Suite


@dataclass(frozen=True)
class Ask:
    """One task, or one kind of them: how often the model is asked, and how long an answer may be, in its tokens."""

    tier: str
    task: str
    questions: int
    answer_tokens: int

    @property
    def tokens(self) -> int:
        return self.questions * self.answer_tokens


@dataclass(frozen=True)
class Outlook:
    """`hours` and `dollars` are upper bounds: as if every answer were as long as it may be."""

    asks: tuple[Ask, ...]
    tokens_per_second: float
    dollars_per_hour: float

    @property
    def tokens(self) -> int:
        return sum(ask.tokens for ask in self.asks)

    @property
    def hours(self) -> float:
        return self.tokens / self.tokens_per_second / 3600

    @property
    def dollars(self) -> float:
        return self.hours * self.dollars_per_hour


def outlook(suite: Suite, tokens_per_second: float, dollars_per_hour: float) -> Outlook:
    """Every question that the suite puts to the model; what the student is asked costs next to nothing."""
    tiers = suite.tiers
    asks = []
    for sanity in tiers.sanity.tasks:
        questions = sanity.items if isinstance(sanity, BenchmarkTask) else len(suite.items[sanity.name])
        asks.append(Ask("sanity", sanity.name, questions, sanity.max_new_tokens))
    for task in tiers.engineering.tasks:
        questions = task.samples if isinstance(task, WritingTask) else len(suite.items[task.name])
        asks.append(Ask("engineering", task.name, questions, task.max_new_tokens))
    kinds = Counter(task.kind for task in suite.engineering_files)
    asks += [Ask("engineering", kind, number, tiers.engineering.answer_tokens) for kind, number in kinds.items()]
    teaching = tiers.teaching
    asks += [
        Ask("teaching", f"write_{teaching.skill}_{difficulty}", teaching.samples, teaching.writing_tokens)
        for difficulty in teaching.writes
    ]
    return Outlook(tuple(asks), tokens_per_second, dollars_per_hour)
