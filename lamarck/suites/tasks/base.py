"""What every kind of engineering task shares: its file, its reference and wrong answers, and its rungs. Light."""

from abc import abstractmethod
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section
from lamarck.judging.sandbox import Sandbox

# The suite measures machine-learning capability and nothing else: a task of another domain is refused.
Domain = Literal["model training", "curriculum design", "code completion", "general sanity"]


class WrongAnswer(Section):
    """An answer that must lose points: a rubric that cannot fail measures nothing."""

    answer: str
    loses: tuple[str, ...] = Field(min_length=1, description="Exactly the rungs that this answer must not climb.")


class EngineeringTask(Section):
    """One task file. `kind` in the file names the subclass; what a rung is worth, the suite says."""

    rungs: ClassVar[tuple[str, ...]]  # in the order in which each builds on the one before

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    kind: str
    domain: Domain
    prompt: str = Field(min_length=1, description="What the model is asked, whole.")
    reference: str = Field(min_length=1, description="An answer that climbs every rung, as a model would write it.")
    wrong: tuple[WrongAnswer, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _known_rungs(self) -> "EngineeringTask":
        unknown = {rung for wrong in self.wrong for rung in wrong.loses} - set(self.rungs)
        if unknown:
            raise ValueError(f"loses names no rung of {self.kind}: {', '.join(sorted(unknown))}")
        return self

    @abstractmethod
    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        """Rung -> climbed, for every rung. `answer` is what follows the model's reasoning; code in it runs only in
        the sandbox. Never raises for what an answer says or does."""
