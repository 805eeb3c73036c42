"""Design a fine-tuning curriculum: which topics in which order, from which data, with which numbers.

The answer is one JSON object (Design); a program decides every rung from it.

- `completeness`: the stages introduce every needed topic, each once, and no other.
- `ordering`: what a topic needs was introduced in an earlier stage and is named there as a prerequisite, and no topic
  comes after a harder one.
- `specificity`: exactly the asked keys, each with a concrete value: known topics, sources, methods, metrics, no
  placeholders.
- `plausibility`: rates, epochs and replay lie in the task's ranges, the totals are those of the stages and within the
  budget, no source gives more than it has, and at least half of what is needed is taught. Where the task has a
  `grounding`, the design is then carried out: a micro student, trained from scratch as the design says, must reach an
  accuracy on the hardest problems.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section
from lamarck.judging.design import (
    Stage,
    Totals,
    Work,
    checked,
    is_number,
    is_placeholder,
    names_in,
    read_design,
)
from lamarck.judging.sandbox import Sandbox
from lamarck.judging.trial import MACHINES, Lesson, try_out
from lamarck.suites.tasks.base import EngineeringTask

TOLERANCE = 0.01  # relative, of a total


class Span(Section):
    """Both ends belong to it."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


class Topic(Section):
    name: str
    needs: tuple[str, ...] = Field((), description="Its direct prerequisites.")
    level: int = Field(0, description="How hard it is; easy comes before hard.")
    role: Literal["needed", "known", "unneeded"] = Field(
        "needed", description="known: the model has it already, so it counts as taught and must not be taught again."
    )


class Source(Section):
    name: str
    examples: int = Field(gt=0, description="How many it can give in all.")
    tokens: int = Field(gt=0, description="Of one example.")
    tokens_per_second: float = Field(gt=0, description="Training speed at this length of example.")
    dollars: float = Field(0, ge=0, description="Of one example.")
    topics: tuple[str, ...] = Field((), description="What it can teach; empty: everything.")


class Method(Section):
    name: str
    learning_rate: Span
    cost: float = Field(1, gt=0, description="Device time of a token, in multiples of plain training.")
    topics: tuple[str, ...] = Field((), description="What it can teach; empty: everything.")


class Grounding(Section):
    """How a design is tried on a micro student; trial.py says what the skills are."""

    skill: Literal["digit_sum", "cups", "register"]
    lengths: dict[str, int] = Field(description="Topic -> length of its problems.")
    test_length: int = Field(gt=0)
    threshold: float = Field(gt=0, lt=1, description="Accuracy, the median over the seeds, the student must reach.")
    seeds: tuple[int, ...] = (1, 2, 3)


class CurriculumDesign(EngineeringTask):
    """A goal, an inventory of topics and a budget; the answer is a sequence of training stages."""

    rungs: ClassVar[tuple[str, ...]] = ("completeness", "ordering", "specificity", "plausibility")

    kind: Literal["curriculum_design"]
    topics: tuple[Topic, ...] = Field(min_length=1)
    sources: tuple[Source, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    metrics: dict[str, Span] = Field(min_length=1, description="Metric of an exit test -> thresholds that make sense.")
    stages: Span
    topics_per_stage: int = Field(gt=0)
    examples_per_topic: int = Field(gt=0, description="The least that a stage has for each topic it introduces.")
    epochs: Span
    batch_size: Span
    replay: Span = Field(description="Share of every stage that has something to replay.")
    falling_rates: bool = Field(False, description="Whether the learning rate may never rise from stage to stage.")
    ceilings: Totals
    grounding: Grounding | None = None

    @model_validator(mode="after")
    def _closed(self) -> "CurriculumDesign":
        taught = {topic.name for topic in self.topics if topic.role != "unneeded"}
        lacking = {need for topic in self.topics if topic.role == "needed" for need in topic.needs} - taught
        if lacking:
            raise ValueError(f"needed topics need {', '.join(sorted(lacking))}, which is not needed")
        able = [each.topics for each in self.sources] + [each.topics for each in self.methods]
        named = {name for topics in able for name in topics}
        if named - self._inventory:
            raise ValueError(f"no topic is called {', '.join(sorted(named - self._inventory))}")
        lengths = self.grounding.lengths if self.grounding else dict.fromkeys(self._inventory, 0)
        alike = self.grounding is not None and len({*lengths.values()}) < len(lengths)
        if lengths.keys() != self._inventory or alike:
            raise ValueError("the grounding must give each topic a length, of its own")
        return self

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        value = read_design(answer)
        if value is None:
            return dict.fromkeys(self.rungs, False)
        topics, prerequisites = (names_in(value["stages"], key) for key in ("topics", "prerequisites"))
        return {
            "completeness": topics is not None and self._is_complete(topics),
            "ordering": topics is not None and prerequisites is not None and self._is_ordered(topics, prerequisites),
            "specificity": self._is_specific(value),
            "plausibility": topics is not None and self._is_plausible(value, topics, sandbox),
        }

    @property
    def _inventory(self) -> set[str]:
        return {topic.name for topic in self.topics}

    def _named(self, role: str) -> set[str]:
        return {topic.name for topic in self.topics if topic.role == role}

    def _is_complete(self, topics: Sequence[Sequence[str]]) -> bool:
        return sorted(name for names in topics for name in names) == sorted(self._named("needed"))

    def _is_ordered(self, topics: Sequence[Sequence[str]], prerequisites: Sequence[Sequence[str]]) -> bool:
        inventory = {topic.name: topic for topic in self.topics}
        known = self._named("known")
        earlier, hardest = set(known), 0
        for names, stated in zip(topics, prerequisites, strict=True):
            own = [inventory[name] for name in names if name in inventory]
            needs = {need for topic in own for need in topic.needs}
            if not needs <= earlier or not needs - known <= set(stated) <= earlier:
                return False
            if any(topic.level < hardest for topic in own):
                return False
            earlier |= set(names)
            hardest = max([hardest, *(topic.level for topic in own)])
        return self._holds_half(topics)

    def _holds_half(self, topics: Sequence[Sequence[str]]) -> bool:
        """A design of two topics is in order by chance and within any budget: that earns nothing."""
        needed = self._named("needed")
        return 2 * len(needed.intersection(name for names in topics for name in names)) >= len(needed)

    def _is_specific(self, value: dict[str, Any]) -> bool:
        asked = self.ceilings.model_dump(exclude_none=True)
        totals = {key: each for key, each in value.items() if key != "stages"}
        if totals.keys() != asked.keys() or not all(is_number(each) for each in totals.values()):
            return False
        stages = [stage for stage in (checked(Stage, each) for each in value["stages"]) if stage is not None]
        names = {stage.name.strip().lower() for stage in stages}
        whole = len(names) == len(stages) == len(value["stages"]) and self.stages.holds(len(stages))
        return whole and all(self._is_concrete(stage) for stage in stages)

    def _is_concrete(self, stage: Stage) -> bool:
        span = self.metrics.get(stage.exit_test.metric)
        return (
            not any(is_placeholder(text) for text in (stage.name, stage.format))
            and len(stage.topics) <= self.topics_per_stage
            and {*stage.topics, *stage.prerequisites} <= self._inventory
            and stage.source in {source.name for source in self.sources}
            and stage.method in {method.name for method in self.methods}
            and (stage.counts is not None) == (self.grounding is not None)
            and span is not None
            and span.holds(stage.exit_test.threshold)
        )

    def _is_plausible(self, value: dict[str, Any], topics: Sequence[Sequence[str]], sandbox: Sandbox) -> bool:
        works = [work for work in (checked(Work, stage) for stage in value["stages"]) if work is not None]
        whole = len(works) == len(value["stages"]) and self.stages.holds(len(works))
        if not whole or not self._holds_half(topics):
            return False
        replayed = self._named("known")
        for work, names in zip(works, topics, strict=True):
            if not self._fits(work, names, replayed):
                return False
            replayed |= set(names)
        rates = [work.learning_rate for work in works]
        if self.falling_rates and rates != sorted(rates, reverse=True):
            return False
        return self._adds_up(works, value) and (self.grounding is None or self._teaches(self.grounding, works, sandbox))

    def _fits(self, work: Work, names: Sequence[str], earlier: set[str]) -> bool:
        """Whether one stage alone is plausible, `earlier` being what it can replay."""
        source = next((each for each in self.sources if each.name == work.source), None)
        method = next((each for each in self.methods if each.name == work.method), None)
        if source is None or method is None or not set(names) <= self._inventory:
            return False
        able = all(set(names) <= set(each.topics) for each in (source, method) if each.topics)
        replay = self.replay.holds(work.replay_share) if earlier else work.replay_share == 0
        in_range = method.learning_rate.holds(work.learning_rate) and self.epochs.holds(work.epochs)
        enough = work.examples * (1 - work.replay_share) >= self.examples_per_topic * len(names) - 0.5
        counted = self.grounding is None or _counts_fit(work, set(names), earlier)
        return able and replay and in_range and enough and counted and self.batch_size.holds(work.batch_size)

    def _adds_up(self, works: Sequence[Work], stated: dict[str, Any]) -> bool:
        totals = self._totals(works).model_dump()
        for name, ceiling in self.ceilings.model_dump(exclude_none=True).items():
            value = stated.get(name)
            if not is_number(value) or totals[name] > ceiling:
                return False
            # The number of examples is a plain sum; in the others rounding may enter.
            slack = 0 if name == "total_examples" else TOLERANCE * totals[name]
            if abs(value - totals[name]) > slack:
                return False
        given = {source.name: source.examples for source in self.sources}
        return all(sum(work.examples for work in works if work.source == name) <= most for name, most in given.items())

    def _totals(self, works: Sequence[Work]) -> Totals:
        sources = {source.name: source for source in self.sources}
        costs = {method.name: method.cost for method in self.methods}
        tokens = [work.examples * work.epochs * sources[work.source].tokens for work in works]
        speeds = [sources[work.source].tokens_per_second / costs[work.method] for work in works]
        return Totals(
            total_examples=sum(work.examples for work in works),
            total_steps=sum(math.ceil(work.examples * work.epochs / work.batch_size) for work in works),
            total_tokens=sum(tokens),
            total_hours=sum(each / speed for each, speed in zip(tokens, speeds, strict=True)) / 3600,
            total_dollars=sum(work.examples * sources[work.source].dollars for work in works),
        )

    def _teaches(self, grounding: Grounding, works: Sequence[Work], sandbox: Sandbox) -> bool:
        lessons = [
            Lesson(
                counts={grounding.lengths[name]: count for name, count in (work.counts or {}).items()},
                epochs=work.epochs,
                learning_rate=work.learning_rate,
                batch_size=work.batch_size,
            )
            for work in works
        ]
        outcome = try_out(
            MACHINES[grounding.skill],
            lessons,
            sandbox,
            test_length=grounding.test_length,
            seeds=grounding.seeds,
            hold_out=False,
        )
        return outcome is not None and outcome.trained >= grounding.threshold


def _counts_fit(work: Work, new: set[str], earlier: set[str]) -> bool:
    """Whether the counts are those of the stage: all its topics, besides them earlier ones, and the stated sums."""
    counts = work.counts or {}
    if not new <= counts.keys() <= new | earlier or min(counts.values()) < 1 or sum(counts.values()) != work.examples:
        return False
    replayed = sum(count for name, count in counts.items() if name not in new)
    return abs(replayed / work.examples - work.replay_share) <= TOLERANCE
