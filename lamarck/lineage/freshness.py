"""Is an artifact still what its inputs make? Decided by content, never by clocks. Light: no torch.

Every record lists the digests of the inputs that decided its artifact's bytes. An artifact is *fresh* when its bytes
match its record and that list equals the one computed from the files as they are now. This holds after `git clone` and
`dvc pull`, where modification times say nothing.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lamarck.config import Config, LocalFounder
from lamarck.curriculum.strategy import Strategy, load_strategy
from lamarck.errors import LamarckError
from lamarck.files import SNAKEMAKE_MARKER, digest_directory, digest_file, digest_value, file_digests, read_json
from lamarck.gate.check import changed_parts
from lamarck.gate.plan import Plan, read_plan
from lamarck.lineage import (
    ADAPTER_RECORD,
    STUDENT,
    WEIGHTS_RECORD,
    Generation,
    Published,
    adapter_digest,
    generation_digest,
    read_record,
    suite_digest,
    weights_digest,
)

BENCHMARKS = {"curriculum.jsonl": "curriculum", "adapter": "train", "eval.json": "eval"}
BYTES_DIFFER = "its bytes differ from its record"


def weights_inputs(config: Config) -> dict[str, str]:
    """What decides the founder's bytes: its section, the seed, and for a tiny one the suite it must not see."""
    inputs = {"founder": digest_value(config.founder.model_dump(mode="json"))}
    if config.founder.kind == "tiny":
        inputs |= {"seed": str(config.seed), "suite": suite_digest(Path(config.suite))}
        inputs["threads"] = str(config.engine.founder_threads)
    if isinstance(config.founder, LocalFounder):
        inputs["source"] = digest_directory(Path(config.founder.path))
    return inputs


def student_inputs(suite: Path) -> dict[str, str]:
    return {"suite": suite_digest(suite)}


def curriculum_inputs(
    config: Config, strategy: Strategy, parent_digest: str, earlier: list[Path], like: Path | None
) -> dict[str, str]:
    inputs = {
        "parent": parent_digest,
        "strategy": strategy.digest(),
        "engine": config.engine.digest(),
        "suite": suite_digest(Path(config.suite)),
        "seed": str(config.seed),
        "earlier": digest_value([digest_file(path) for path in earlier]),
    }
    return inputs if like is None else inputs | {"like": digest_file(like)}


def adapter_inputs(config: Config, plan: Path, curriculum: Path, parent_digest: str) -> dict[str, str]:
    return {
        "plan": digest_file(plan),
        "curriculum": digest_file(curriculum),
        "parent": parent_digest,
        "recipe": config.recipe.digest(),
    }


def scores_inputs(config: Config, model: str) -> dict[str, str]:
    return {
        "model": model,
        "suite": suite_digest(Path(config.suite)),
        "student": weights_digest(STUDENT),
        "engine": config.engine.digest(),
    }


def scores_digest(scores: Path, samples: Path) -> str:
    return digest_value({"eval": digest_file(scores), "samples": digest_file(samples)})


@dataclass(frozen=True)
class Artifact:
    """One thing a rule writes: its files, and why it is not what its inputs make now (None when it is fresh)."""

    name: str
    files: tuple[Path, ...]
    stale: str | None

    @property
    def benchmark(self) -> Path:
        """Where the rule's `benchmark:` lies: Snakemake takes its time for an output's."""
        generation, file = self.name.rsplit("/", 1)
        return Path("logs") / generation / f"{BENCHMARKS.get(file, file)}.tsv"


def survey(config: Config, prefix: str = "") -> list[Artifact]:
    """Every artifact that the lineage has or is meant to have, in the order in which the rules make them."""
    found = [_weights(config), _student(config), _scores(config, Generation(0))]
    for number in range(1, config.generations + 1):
        child = Generation(number, prefix)
        arms = [child, child.control] if config.control else [child]
        found += [curriculum_state(config, arm) for arm in arms]
        found += [_dataset_card(arm) for arm in arms]
        found.append(_plan(config, child))
        found += [_adapter(config, arm) for arm in arms]
        if config.publish and not prefix:
            trained = {path: digest for arm in arms for path, digest in _files(arm.adapter).items()}
            found.append(_publication(config.publish.repo, child, child.published, trained))
        found += [_scores(config, arm) for arm in arms]
        if config.publish and not prefix:
            scored = {path: digest for arm in arms for path, digest in _files(arm.scores, arm.samples).items()}
            found.append(_publication(config.publish.repo, child, child.published_scores, scored))
    return found


def earlier_curricula(child: Generation) -> list[Path]:
    """The curricula of the generations between the founder and the child: what the child's may replay."""
    return [Generation(number, child.prefix).curriculum for number in range(1, child.number)]


def _weights(config: Config) -> Artifact:
    weights = Generation(0).weights
    record = weights / WEIGHTS_RECORD
    reason = _why_stale((weights,), record, lambda: weights_digest(weights), lambda: weights_inputs(config))
    return Artifact("g0/weights", (weights,), reason)


def _student(config: Config) -> Artifact:
    record = STUDENT / WEIGHTS_RECORD
    reason = _why_stale((STUDENT,), record, lambda: weights_digest(STUDENT), lambda: student_inputs(Path(config.suite)))
    return Artifact("g0/student", (STUDENT,), reason)


def curriculum_state(config: Config, child: Generation) -> Artifact:
    def inputs() -> dict[str, str]:
        like = child.planned_by.curriculum if child.is_control else None
        strategy = load_strategy(config.strategy_of(child.number))
        return curriculum_inputs(config, strategy, generation_digest(child.parent), earlier_curricula(child), like)

    files = (child.curriculum, child.card)
    reason = _why_stale(files, child.card, lambda: digest_file(child.curriculum), inputs)
    return Artifact(f"{child.name}/curriculum.jsonl", files, reason)


def _dataset_card(child: Generation) -> Artifact:
    """Fresh as long as it names the curriculum that is there: a person may say more in it than we do."""
    reason: str | None = "missing"
    if child.card.exists() and child.dataset_card.exists():
        try:
            named = read_record(child.card).digest in child.dataset_card.read_text(encoding="utf-8")
            reason = None if named else "it does not name this curriculum's digest: delete it, and it is made again"
        except (LamarckError, UnicodeDecodeError) as error:
            reason = str(error)
    return Artifact(f"{child.name}/curriculum.md", (child.dataset_card,), reason)


def _plan(config: Config, child: Generation) -> Artifact:
    """A plan carries no record: what it says is compared with the files as they are."""
    if not child.plan.exists():
        return Artifact(f"{child.name}/plan.json", (child.plan,), "missing")
    try:
        plan = read_plan(child.plan)
        changed = _changed_parts(config, child, plan)
        if (plan.control is not None) != config.control:
            changed.append("control arm")
        elif config.control:
            changed += [f"control's {part}" for part in _changed_parts(config, child.control, plan)]
        if child.adapter.exists():
            # Another machine would have made the same adapter: only one that is still to be made is asked about again.
            changed = [part for part in changed if not part.endswith("machine")]
        before = read_plan(child.parent.plan).budget.device_seconds if child.parent.number else None
        if plan.budget.parent_device_seconds != before:
            changed.append("parent's budget")
        reason = f"changed since: {', '.join(changed)}" if changed else None
    except (LamarckError, FileNotFoundError) as error:
        reason = _sentence(error)
    return Artifact(f"{child.name}/plan.json", (child.plan,), reason)


def _changed_parts(config: Config, child: Generation, plan: Plan) -> list[str]:
    parent_adapter = child.parent.adapter if child.parent.number else None
    return changed_parts(config, child, plan, child.weights, parent_adapter, child.curriculum)


def _adapter(config: Config, child: Generation) -> Artifact:
    def inputs() -> dict[str, str]:
        return adapter_inputs(config, child.plan, child.curriculum, generation_digest(child.parent))

    record = child.adapter / ADAPTER_RECORD
    reason = _why_stale((child.adapter,), record, lambda: adapter_digest(child.adapter), inputs)
    return Artifact(f"{child.name}/adapter", (child.adapter,), reason)


def _scores(config: Config, generation: Generation) -> Artifact:
    files = (generation.scores, generation.samples, generation.scores_record)
    reason = _why_stale(
        files,
        generation.scores_record,
        lambda: scores_digest(generation.scores, generation.samples),
        lambda: scores_inputs(config, generation_digest(generation)),
    )
    return Artifact(f"{generation.name}/eval.json", files, reason)


def _publication(repo: str, child: Generation, path: Path, files: dict[str, str]) -> Artifact:
    """Fresh as long as what lies on the hub, as `path` records it, are the files that are here."""
    reason: str | None = "missing"
    if path.exists():
        try:
            published = Published.model_validate(read_json(path))
            if published.repo != repo:
                reason = f"published in {published.repo}, not in {repo}"
            else:
                changed = [name for name, digest in files.items() if published.files.get(name) != digest]
                reason = f"changed since: {', '.join(changed)}" if changed else None
        except (LamarckError, ValueError) as error:
            reason = f"{path} cannot be read: {str(error).splitlines()[0]}"
    return Artifact(f"{child.name}/{path.name}", (path,), reason)


def _files(*paths: Path) -> dict[str, str]:
    """Path -> sha256 of these files and of those in these directories, as far as they are there."""
    found: dict[str, str] = {}
    for path in paths:
        if path.is_dir():
            found |= {str(path / name): digest for name, digest in file_digests(path).items()}
        elif path.exists():
            found[str(path)] = digest_file(path)
    return found


def _why_stale(
    files: tuple[Path, ...], record_file: Path, digest: Callable[[], str], inputs: Callable[[], dict[str, str]]
) -> str | None:
    if not all(path.exists() for path in (*files, record_file)):
        return "missing"
    try:
        record = read_record(record_file)
        if record.digest != digest():
            return BYTES_DIFFER
        expected = inputs()
    except (LamarckError, FileNotFoundError) as error:
        return _sentence(error)
    changed = sorted(name for name in record.inputs.keys() | expected if record.inputs.get(name) != expected.get(name))
    return f"changed since: {', '.join(changed)}" if changed else None


def _sentence(error: LamarckError | FileNotFoundError) -> str:
    return str(error) if isinstance(error, LamarckError) else f"{error.filename} does not exist"


def bless(artifacts: list[Artifact]) -> None:
    """Tell Snakemake, which knows only modification times, what content says: fresh artifacts get the present time,
    stale ones a time before everything, so that just those and what hangs on them are made again."""
    now = time.time()
    for place, artifact in enumerate(artifacts):
        # A millisecond apart, in the order of the chain: an output as old as its input would count as outdated.
        moment = 1.0 if artifact.stale else now + place / 1000
        for path in (*artifact.files, artifact.benchmark):
            if path.is_dir():
                path = path / SNAKEMAKE_MARKER
                path.touch()
            if path.exists():
                os.utime(path, (moment, moment))
                # A cache may have linked the file in: Snakemake looks at the link's own time too.
                os.utime(path, (moment, moment), follow_symlinks=False)
