"""The typed recipe of a curriculum: what the teacher is asked, how often, and what is kept. Light: no torch."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.config.limits import Limit, Measure
from lamarck.config.own import Problems, code_digest, code_files, problems_digests
from lamarck.config.prompts import Prompts, load_prompts
from lamarck.config.section import Section, check_section
from lamarck.files import digest_value, read_regular


class Share(Section):
    """A skill's part of the curriculum. A cell is one skill at one difficulty."""

    share: float = Field(gt=0, le=1, description="Of the items; the shares of all skills add up to 1.")
    difficulties: tuple[int, ...] = Field(min_length=1, description="The difficulties to ask for.")
    code: str | None = Field(
        None,
        description="Of a skill of your own: its Python file, or `entry point` where a package registers it.",
    )
    problems: Problems | None = Field(None, description="Problems of your own, which the teacher only answers.")
    context: str = Field(
        "",
        description="What stands before each of its problems while the child learns, such as an instruction; nobody "
        "who is asked one later is given it.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "Share":
        if self.code and self.problems:
            raise ValueError("code and problems: a skill is either a program's or a file of problems")
        if self.problems and self.difficulties != (1,):
            raise ValueError("difficulties: problems from a file are all of difficulty 1")
        return self

    @property
    def own_files(self) -> tuple[Path, ...]:
        return (*(code_files(self.code) if self.code else ()), *(self.problems.files if self.problems else ()))

    def own_digests(self, name: str) -> list[str]:
        """Of all that is not this package's. Errors: LamarckError for what is not there."""
        own = [code_digest(name, self.code)] if self.code else []
        return own + (problems_digests(self.problems) if self.problems else [])


class Fixed(Section):
    """Every difficulty of a skill gets the same number of items, as far as the teacher can fill it."""

    kind: Literal["fixed"]


class Following(Section):
    """The items of a skill go where its teacher can just about follow: to its frontier."""

    kind: Literal["following"]
    band: tuple[float, float] = Field(
        (0.2, 0.8),
        description="A cell whose probed pass rate lies in it, ends included, is the frontier. One that lies below it "
        "even with luck (the upper end of a 95% interval) is out of reach, and no more is asked of it.",
    )
    weight: float = Field(2.0, ge=1, description="Items of a frontier cell, for each of a cell the teacher masters.")

    @model_validator(mode="after")
    def _is_a_band(self) -> "Following":
        if not 0 <= self.band[0] < self.band[1] <= 1:
            raise ValueError("a band runs from a lower to a higher pass rate, both within 0..1")
        return self


class Sampling(Section):
    """How a teacher writes a problem with its answer. Temperature 1 and top_p 1 are its own distribution."""

    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus (arXiv:1904.09751).")
    max_new_tokens: int = Field(ge=1, description="Longest text the teacher may write.")


class FurtherAnswers(Section):
    """Further answers to a sound problem, beside the one that it was written with: candidates to choose from."""

    temperatures: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (), description="One further answer at each; 0 is greedy. None: the problem's own answer is the only one."
    )
    choose: Literal["first", "shortest", "vote"] = Field(
        "first",
        description="first: the first that is verified; the later ones are not asked for. shortest: of those that are "
        "verified. vote: the one most candidates agree on (self-consistency, arXiv:2203.11171), if it is verified.",
    )


class Strategy(Section):
    description: str = Field(description="One line: when to use this strategy.")
    target: Literal["teaching", "capability"] = Field(
        "teaching",
        description="teaching: raise a better teacher, who also learns to write problems. capability: a better solver.",
    )
    writing_share: float = Field(
        0.5, gt=0, le=1, description="For teaching: share of the items that are also learned as a teacher writes them."
    )
    skills: dict[str, Share] = Field(min_length=1, description="Skill -> its share and its difficulties.")
    size: int = Field(ge=1, description="Distinct verified items to reach, over all cells.")
    difficulty: Annotated[Fixed | Following, Field(discriminator="kind")] = Following(kind="following")
    sampling: Sampling
    prompts: str | None = Field(None, description="File with prompt templates, around what a skill itself asks.")
    examples: int = Field(
        0,
        ge=0,
        le=16,
        description="Worked examples in each request, drawn anew from the skill's generator, none of them a suite's. A "
        "text that repeats one is left out: it is not the teacher's.",
    )
    answers: FurtherAnswers = FurtherAnswers()
    probe_samples: int = Field(200, ge=1, description="Texts per cell that measure the teacher's pass rate there.")
    samples_per_item: float = Field(
        4.0, ge=1, description="Texts per item wanted of a cell after which to stop trying to fill it."
    )
    # Shown only where it is another than the default: plans of searches from before it was a setting stay as they are.
    longest_of: float = Field(
        1.0,
        ge=1,
        exclude_if=lambda value: value == 1,
        description="Verified items of a cell for each that is kept, as far as its samples go: those with the longest "
        "answers, in characters, stay. 1: those that were written first. The control arm keeps what comes first.",
    )
    drop_near_duplicates: bool = Field(
        False, description="Leave out problems near an earlier one, of this curriculum or any before it."
    )
    replay_per_cell: int = Field(
        0, ge=0, description="Items per cell of each earlier generation's own curriculum that are mixed in."
    )
    anchor_share: float = Field(
        0.0, ge=0, lt=1, description="Share of the curriculum drawn from the data that the founder was made of."
    )
    ordering: Literal["mixed", "easy_to_hard"] = Field(
        "mixed", description="Of the items in every epoch of training (curriculum learning, Bengio et al. 2009)."
    )
    limits: dict[Measure, Limit] = Field(
        {}, description="Guard-rail -> how far it may go from the founder's own curriculum before the run stops."
    )
    minimum_items: int = Field(
        200, ge=1, description="The floor: a curriculum with fewer verified items is an error, not a training run."
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Strategy":
        whole = math.fsum(part.share for part in self.skills.values())
        if not math.isclose(whole, 1, abs_tol=1e-6):
            raise ValueError(f"the shares of the skills add up to {whole:g}, not 1")
        return self

    def wording(self) -> Prompts:
        """The prompt templates that the strategy names. Errors: LamarckError."""
        return load_prompts(Path(self.prompts)) if self.prompts else Prompts()

    @property
    def own_files(self) -> tuple[Path, ...]:
        """The files of the skills and problems that are the user's own."""
        return tuple(dict.fromkeys(path for part in self.skills.values() for path in part.own_files))

    def digest(self) -> str:
        """Of the strategy, of the templates that it names, and of the user's own skills and problems."""
        own = {name: digests for name, part in self.skills.items() if (digests := part.own_digests(name))}
        return digest_value([super().digest(), self.wording().digest(), *([own] if own else [])])


def load_strategy(path: Path) -> Strategy:
    """Read a strategy and the templates it names. Errors: LamarckError with one sentence that names the key."""
    strategy = _strategy(read_regular(path), str(path))
    strategy.wording()
    return strategy


@lru_cache(maxsize=256)
def _strategy(content: bytes, source: str) -> Strategy:
    """Every artifact of a lineage asks for it, and YAML is slow to read."""
    return check_section(strict_yaml.loads(content, source), Strategy, source)
