"""A ratchet's file: autoresearch's template as it stands, and what we add to it, typed. Light."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.config.section import Section, check_section
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.ratchet.verdict import Rigor, Simplicity
from lamarck.search.space import Key

FilePath = Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)*$")]


class ScriptedEdit(Section):
    """One scripted change: `find` stands once in the file."""

    description: str
    file: str | None = Field(None, description="The first mutable file when left out.")
    find: str = Field(min_length=1)
    replace: str


class PatchesAgent(Section):
    kind: Literal["patches"] = Field(description="patches: a list of changes, one after the other.")
    edits: tuple[ScriptedEdit, ...] = Field(min_length=1)


class MutationAgent(Section):
    kind: Literal["mutation"] = Field(
        description="mutation: typed changes of keys of a YAML file, or of constants at the top of a Python file."
    )
    space: dict[str, Key] = Field(min_length=1, description="Place of a key, or name of a constant -> its range.")
    seed: int = 1


class CommandAgent(Section):
    circumstance: ClassVar[frozenset[str]] = frozenset({"timeout_minutes"})

    kind: Literal["command"] = Field(description="command: a program that edits the file in its own directory.")
    command: tuple[str, ...] = Field(
        min_length=1, description="Its words; {prompt} is what it is told, {prompt_file} a file with that."
    )
    timeout_minutes: float = Field(15, gt=0)


class ServerAgent(Section):
    circumstance: ClassVar[frozenset[str]] = frozenset({"timeout_seconds", "api_key_variable"})

    kind: Literal["server"] = Field(description="server: an OpenAI-compatible server, which rewrites the file.")
    url: str = Field(pattern=r"^https?://", description="Where its API begins, such as http://127.0.0.1:8000/v1.")
    model: str
    temperature: float = Field(0.8, ge=0)
    max_tokens: int | None = Field(None, ge=1, description="Of an answer. None: what the server lets one have.")
    timeout_seconds: float = Field(600, gt=0)
    api_key_variable: str | None = Field(
        None, pattern=r"^[A-Z_][A-Z0-9_]*$", description="Environment variable that holds the key; never the key."
    )


class BranchAgent(Section):
    kind: Literal["branch"] = Field(description="branch: what another machine kept, commit by commit, tried here.")
    branch: str = Field(pattern=r"^[\w./-]+$")


Agent = Annotated[PatchesAgent | MutationAgent | CommandAgent | ServerAgent | BranchAgent, Field(discriminator="kind")]


class ExperimentBudget(Section):
    """What an experiment may spend. The subject reads kind and amount in RATCHET_BUDGET_KIND and RATCHET_BUDGET.

    Seconds are measured and ended outside the room. Steps and tokens are the subject's own to count: it is held by
    the seconds of `most_seconds` alone.
    """

    kind: Literal["wall_seconds", "processor_seconds", "steps", "tokens"]
    amount: float = Field(gt=0)
    startup_seconds: float = Field(60, ge=0, description="Beside a budget of seconds: imports, building, writing.")
    most_seconds: float | None = Field(None, gt=0, description="Wall seconds in all, for steps and tokens.")

    @model_validator(mode="after")
    def _ends(self) -> "ExperimentBudget":
        if self.kind in ("steps", "tokens") and self.most_seconds is None:
            raise ValueError(f"a budget in {self.kind} needs most_seconds, after which an experiment is ended")
        return self

    @property
    def limit(self) -> float:
        """Seconds of its kind after which an experiment is ended."""
        return self.most_seconds if self.most_seconds is not None else self.amount + self.startup_seconds


class ChainSubject(Section):
    """The subject is a teaching strategy: an experiment raises a lineage with it, through the real chain."""

    configfile: str = Field(description="The configuration whose strategy is the subject; from the project's root.")
    config: dict[str, Any] = Field({}, description="Keys of it that differ: recipe, control, budget, founder, suite.")
    scored: str = Field("g2", pattern=r"^g[1-9][0-9]*$", description="The generation whose score is the metric.")


class Promotion(Section):
    """How what was kept is tried again, on seeds that chose nothing: `lamarck ratchet promote NAME`. As it is: at the
    same size."""

    environment: dict[str, str] = Field({}, description="What makes it larger; the subject reads it.")
    budget: ExperimentBudget | None = Field(None, description="That of the experiments when left out.")
    pairs: int = Field(8, ge=5, description="Runs of what was kept, each beside one of the unmodified files.")


class RatchetFile(Section):
    circumstance: ClassVar[frozenset[str]] = frozenset({"founder"})

    name: str = Field(pattern=r"^[\w-]+$")
    metric: str = Field(pattern=r"^[\w./-]+$")
    metric_direction: Literal["minimize", "maximize"]
    mutable_files: tuple[FilePath, ...] = Field(min_length=1)
    immutable_files: tuple[FilePath, ...] = ()
    run_command: str = ""
    eval_command: str = ""
    budget_minutes: float | None = Field(None, gt=0)
    branch_prefix: str = Field("autoresearch", pattern=r"^[\w-]+(/[\w-]+)*$")
    rules: tuple[str, ...] = Field((), description="What the agent is told beside program.md.")

    trust: Literal["printed", "scored"] = Field(
        "printed",
        description="printed: the subject says its own metric. scored: it hands over files, which a process of its own "
        "scores with the immutable files alone.",
    )
    hand_over: tuple[FilePath, ...] = Field((), description="scored: what the run leaves for the evaluator.")
    chain: ChainSubject | None = Field(
        None, description="In the place of run_command and eval_command: the mutable file is a teaching strategy."
    )
    answer_command: str | None = Field(
        None,
        description="scored: runs the candidate's files in a room of their own, and answers the evaluator's questions "
        "on descriptor 3 of both. Where the candidate's code is needed to say what its weights say.",
    )
    data_files: tuple[FilePath, ...] = Field((), description="For the run and the evaluator; they need no commit.")
    evaluation_files: tuple[FilePath, ...] = Field((), description="For the evaluator alone: no run sees them.")
    program: FilePath | None = Field(None, description="Told to the agent; program.md where that is there.")
    agent: Agent | None = None
    experiments: int = Field(100, ge=1, description="Proposals of a night: rows of results.tsv.")
    device_seconds: float | None = Field(None, gt=0, description="Ceiling of a night; 6 runs a proposal by default.")
    budget: ExperimentBudget | None = None
    threads: int | None = Field(None, ge=1, description="Cores of an experiment; all when left out.")
    memory_mb: int = Field(4096, ge=64)
    disk_mb: int = Field(256, ge=1)
    processes: int = Field(256, ge=1)
    mutable_kilobytes: int = Field(100, ge=1, description="A larger mutable file is refused: it may hold data.")
    environment: dict[str, str] = Field({}, description="Of the run and of the evaluator.")
    seed: int = Field(1, description="Of all seeds of the night; an experiment finds its own in RATCHET_SEED.")
    rigor: Rigor = Rigor()
    simplicity: Simplicity = Simplicity()
    mends: int = Field(2, ge=0, description="How often the agent may mend a crash of a simple kind.")
    promotion: Promotion = Promotion()
    founder: dict[str, str] = Field(
        {},
        description="Key of a tiny founder -> the constants of the Python file that it is made of, such as `WIDTH` or "
        "`WIDTH * MLP_RATIO`: what `lamarck ratchet adopt` writes down.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "RatchetFile":
        if self.budget is None and self.budget_minutes is None:
            raise ValueError("budget_minutes, or a typed budget, is missing")
        if self.chain:
            return self._fits_the_chain()
        if not (self.run_command and self.eval_command):
            raise ValueError(
                "run_command and eval_command are missing: what runs the subject, and what reads its metric"
            )
        if (self.trust == "scored") != bool(self.hand_over):
            raise ValueError("hand_over names what is scored: `trust: scored` needs it, and nothing else has it")
        if self.trust == "printed" and (self.evaluation_files or self.answer_command):
            raise ValueError("evaluation_files and answer_command keep the evaluator apart: they need `trust: scored`")
        groups = (self.mutable_files, self.immutable_files, self.data_files, self.evaluation_files, self.hand_over)
        named = [name for group in groups for name in group]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"{twice[0]} is named twice: a file is mutable, immutable, data, or handed over")
        if any(part == ".." for name in named for part in name.split("/")):
            raise ValueError("files lie below the directory of this file: `..` leads out")
        if isinstance(self.agent, MutationAgent) and len(self.mutable_files) > 1:
            raise ValueError("agent: mutation changes one mutable file")
        return self

    def _fits_the_chain(self) -> "RatchetFile":
        rooms = {"run_command", "eval_command", "answer_command", "hand_over", "immutable_files", "data_files",
                 "evaluation_files", "environment"}  # fmt: skip
        if given := sorted(name for name in rooms if getattr(self, name)):
            raise ValueError(f"{given[0]} is of subjects that run in a room: `chain` raises lineages instead")
        if self.trust != "scored" or self.metric_direction != "maximize":
            raise ValueError("chain: the suite scores it, and more is better: set `trust: scored`, `maximize`")
        if not isinstance(self.agent, MutationAgent) or len(self.mutable_files) > 1:
            raise ValueError(
                "chain: `agent: {kind: mutation}` changes its one file: its space is what a human approves"
            )
        if self.spending.kind != "wall_seconds" or self.promotion.budget or self.promotion.environment:
            raise ValueError(
                "chain: its lineages have ceilings of their own; budget_minutes is all there is beside them"
            )
        return self

    @property
    def sign(self) -> int:
        return 1 if self.metric_direction == "maximize" else -1

    @property
    def spending(self) -> ExperimentBudget:
        if self.budget:
            return self.budget
        assert self.budget_minutes
        return ExperimentBudget(kind="wall_seconds", amount=60 * self.budget_minutes)

    @property
    def ceiling(self) -> float:
        """Device-seconds of a night."""
        return self.device_seconds or 6 * self.experiments * self.spending.limit

    @property
    def cores(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Ratchet:
    """A file as it was read. `directory`: of the file; the subject's files are named from there."""

    path: Path
    file: RatchetFile
    content: bytes

    @property
    def directory(self) -> Path:
        return self.path.parent


def load_ratchet(path: Path) -> Ratchet:
    """Errors: LamarckError with one sentence that names the key."""
    content = read_regular(path)
    return Ratchet(path, check_section(strict_yaml.loads(content, str(path)), RatchetFile, str(path)), content)


def agent_of(file: RatchetFile) -> Agent:
    """Errors: LamarckError where the file names none."""
    if file.agent is None:
        raise LamarckError(
            "the file names no agent: add `agent: {kind: command, command: [...]}`, or one of the kinds patches, "
            "mutation, server, branch (docs/ratchet.md)"
        )
    return file.agent
