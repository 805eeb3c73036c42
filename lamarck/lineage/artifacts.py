"""THE table of artifacts: what a lineage consists of, what each piece is made from, and where it goes. Light.

Rules, freshness, gate, pages, hub, server and dvc.yaml are derived from it. A new kind of artifact is one entry here,
and a rule that makes it.
"""

from pathlib import Path

from lamarck.config import Config, Form
from lamarck.files import digest_file, digest_value
from lamarck.lineage.digest import (
    change_digest,
    suite_digest,
    weights_digest,
)
from lamarck.lineage.generation import STUDENT, TRAINING_RECORD, WEIGHTS_RECORD, Generation
from lamarck.lineage.inputs import (
    ADAPTER,
    CHILDS_CURRICULUM,
    CROSS_PLAN_INPUTS,
    EARLIER,
    ENGINE,
    FIRST,
    FOUNDER_INPUTS,
    LIKE,
    MERGE,
    MODEL,
    OTHER_PARENT,
    PARENT,
    PLAN_INPUTS,
    PLANNED,
    PRIMER_FILE,
    PRIMER_ITEMS,
    RECIPE,
    SEED,
    SOURCE,
    STRATEGY,
    SUITE,
    UNPRIMED_MODEL,
    has_primer,
    inputs_of_result,
    student_of,
    unprimed,
)
from lamarck.lineage.kind import CampaignKind, Kind, Piece, Setting
from lamarck.lineage.records import read_published


def _scores_digest(generation: Generation) -> str:
    return scores_digest(digest_file(generation.scores), digest_file(generation.samples))


def scores_digest(scores: str, samples: str) -> str:
    """Of eval.json and samples.jsonl together, from the digests of the two."""
    return digest_value({"eval": scores, "samples": samples})


UNPRIMED = Kind(
    "unprimed",
    {"unprimed": "unprimed"},
    "founder",
    (
        # Of the founder as it comes, whatever is made of it then.
        Setting("founder", lambda config, founder, files: config.founder.model_copy(update={"primer": None}).digest()),
        SOURCE,
        MERGE,
    ),
    lambda founder: weights_digest(unprimed(founder)),
    f"unprimed/{WEIGHTS_RECORD}",
    wanted=has_primer,
    before_gate=True,
    published=False,
    dvc={"unprimed": "out"},
)
PRIMER = Kind(
    "primer",
    {"curriculum": "curriculum.jsonl", "card": "curriculum.json"},
    "founder",
    (PRIMER_FILE, SUITE, SEED),
    lambda founder: digest_file(founder.curriculum),
    "curriculum.json",
    wanted=has_primer,
    before_gate=True,
    published=False,
    dvc={"curriculum": "out"},
)
PRIMER_PLAN = Kind(
    "primer_plan",
    {"plan": "plan.json", "record": "plan.record.json"},
    "founder",
    (
        UNPRIMED_MODEL,
        PRIMER_ITEMS,
        PRIMER_FILE,
        SUITE,
        SEED,
        Setting("machine", lambda config, founder, files: digest_value(list(config.machines.train.place))),
    ),
    lambda founder: digest_file(founder.plan),
    "plan.record.json",
    wanted=has_primer,
    before_gate=True,
    published=False,
)
WEIGHTS = Kind(
    "weights",
    {"weights": "weights"},
    "founder",
    FOUNDER_INPUTS,
    lambda founder: weights_digest(founder.weights),
    f"weights/{WEIGHTS_RECORD}",
    dvc={"weights": "out"},
)
STUDENT_MODEL = Kind(
    "student",
    {"student": "student"},
    "founder",
    (SUITE,),
    lambda founder: weights_digest(STUDENT),
    f"student/{WEIGHTS_RECORD}",
    wanted=lambda config, founder: not founder.lineage and student_of(config) == STUDENT,
    dvc={"student": "out"},
)
FOUNDER_CHECK = Kind(
    "founder_check",
    {"check": "check.json", "record": "check.record.json"},
    "founder",
    (
        Setting(
            "model",
            lambda config, founder, files: weights_digest(files["weights"][0]),
            # Before a primer is planned for it: what came is what is looked at.
            lambda config, founder: {
                "weights": (unprimed(founder) if has_primer(config, founder) else founder.weights,)
            },
        ),
        # Which layers get adapters, and whether our own engine is to write with it.
        Setting(
            "asked", lambda config, founder, files: digest_value([config.recipe.target_modules, config.engine.kind])
        ),
    ),
    lambda founder: digest_file(founder.directory / "check.json"),
    "check.record.json",
    # What is pretrained here is a model of our own making.
    wanted=lambda config, founder: config.founder.kind != "tiny",
    published=False,
)
CURRICULUM = Kind(
    "curriculum",
    {"curriculum": "curriculum.jsonl", "card": "curriculum.json"},
    "child",
    (
        PARENT,
        STRATEGY,
        ENGINE,
        SUITE,
        SEED,
        EARLIER,
        LIKE,
        FIRST,
    ),
    lambda child: digest_file(child.curriculum),
    "curriculum.json",
    before_gate=True,
    dvc={"curriculum": "out"},
)
DATASET_CARD = Kind(
    "dataset_card",
    {"dataset_card": "curriculum.md"},
    "child",
    (Piece("card", lambda config, child: {"card": (child.card,)}, None),),
    why_stale=lambda config, child: _why_card_is_stale(child),
    before_gate=True,
)
PLAN = Kind(
    "plan",
    {"plan": "plan.json", "record": "plan.record.json"},
    "child",
    PLAN_INPUTS,
    lambda child: digest_file(child.plan),
    "plan.record.json",
    for_both_arms=True,
    before_gate=True,
    # Another machine would have made the same child: only one that is still to be made is asked about again.
    once_trained=frozenset({"machine"}),
)


def _trained(name: str, form: Form) -> Kind:
    """A child in one of its forms, as the lineage's recipe asks for it."""
    return Kind(
        name,
        {"child": form},
        "child",
        (
            PLANNED,
            CHILDS_CURRICULUM,
            PARENT,
            RECIPE,
            # They decide the order of sums, and so the last digits.
            Setting("threads", lambda config, child, files: str(config.engine.threads)),
        ),
        lambda child: change_digest(child.directory / form),
        f"{form}/{TRAINING_RECORD}",
        wanted=lambda config, child: config.recipe.form == form,
        dvc={"child": "out"},
        form=form,
    )


TRAINED = (_trained("adapter", "adapter"), _trained("delta", "delta"), _trained("whole", "weights"))


CROSS_PLAN = Kind(
    "cross_plan",
    PLAN.files,
    "cross",
    CROSS_PLAN_INPUTS,
    PLAN.digest,
    PLAN.record,
    for_both_arms=True,
    before_gate=True,
)
CROSSED = Kind(
    "crossed",
    {"child": ADAPTER},
    "cross",
    (PLANNED, PARENT, OTHER_PARENT),
    lambda child: change_digest(child.directory / ADAPTER),
    f"{ADAPTER}/{TRAINING_RECORD}",
    dvc={"child": "out"},
    form=ADAPTER,
)


def trained_kind(config: Config) -> Kind:
    """The kind that children of the configuration's lineage are."""
    return next(kind for kind in TRAINED if kind.form == config.recipe.form)


def found_kind(child: Generation) -> Kind:
    """The kind that a child is, as it was planned."""
    if child.is_crossed:
        return CROSSED
    return next(kind for kind in TRAINED if kind.form == child.form)


def _children(config: Config, child: Generation) -> tuple[Path, ...]:
    return tuple(trained_kind(config).path(arm) for arm in arms(config, child))


PUBLICATION = Kind(
    "published",
    {"published": "published.json"},
    "child",
    (Setting("children", None, lambda config, child: {"children": _children(config, child)}),),
    why_stale=lambda config, child: _why_unpublished(config, child, child.published, (trained_kind(config),)),
    for_both_arms=True,
    wanted=lambda config, child: config.publish is not None and not child.lineage,
    published=False,
)
SCORES = Kind(
    "scores",
    {"scores": "eval.json", "samples": "samples.jsonl", "record": "eval.record.json"},
    "every",
    (
        MODEL,
        SUITE,
        Setting(
            "student",
            lambda config, generation, files: weights_digest(files["student"][0]),
            lambda config, generation: {"student": (student_of(config),)},
        ),
        ENGINE,
    ),
    _scores_digest,
    "eval.record.json",
    dvc={"samples": "out", "scores": "metric"},
)
PUBLICATION_OF_SCORES = Kind(
    "published_scores",
    {"published": "published.scores.json"},
    "child",
    (
        Piece("published", lambda config, child: {"published": (child.published,)}, None),
        Setting("scores", None, lambda config, child: {"scores": tuple(arm.scores for arm in arms(config, child))}),
        # The model card says how far a generation is from the founder.
        Piece("founder_scores", lambda config, child: {"founder_scores": (child.founder.scores,)}, None),
    ),
    why_stale=lambda config, child: _why_unpublished(config, child, child.published_scores, (SCORES,)),
    for_both_arms=True,
    wanted=PUBLICATION.wanted,
    published=False,
)


def exam_kind(suite: Path) -> Kind:
    """What a finalist scored on another suite than its lineage's own, whose directory is `suite`."""
    exam = Setting(
        "exam",
        lambda config, generation, files: suite_digest(files["exam"][0].parent),
        lambda config, generation: {"exam": (suite / "suite.yaml",)},
    )
    files = {name: f"exams/{suite.name}.{rest}" for name, rest in EXAM_FILES.items()}

    def digest(generation: Generation) -> str:
        scores, samples = (digest_file(generation.directory / files[name]) for name in ("scores", "samples"))
        return scores_digest(scores, samples)

    return Kind(
        f"exam-{suite.name}",
        files,
        "every",
        (MODEL, exam, ENGINE),
        digest,
        files["record"],
        wanted=lambda config, generation: str(suite) in config.exams and generation.number in (0, config.generations),
        published=False,
        dvc={"samples": "out", "scores": "metric"},
    )


EXAM_FILES = {"scores": "json", "samples": "samples.jsonl", "record": "record.json"}

# In the order in which a generation's artifacts are made from one another.
TABLE: tuple[Kind, ...] = (
    UNPRIMED,
    PRIMER,
    PRIMER_PLAN,
    WEIGHTS,
    STUDENT_MODEL,
    FOUNDER_CHECK,
    CURRICULUM,
    DATASET_CARD,
    PLAN,
    *TRAINED,
    CROSS_PLAN,
    CROSSED,
    PUBLICATION,
    SCORES,
    PUBLICATION_OF_SCORES,
)


# What the ledger of a campaign shows: of a search's round, and of a final, as of every other.
CAMPAIGN_RESULT = CampaignKind("campaign_result", {"result": "result.json", "table": "result.md"}, inputs_of_result)


def exam_files(generation: Generation, name: str) -> tuple[Path, Path]:
    """Scores and samples of an exam."""
    kind = exam_kind(Path(name))
    return kind.paths(generation)["scores"], kind.paths(generation)["samples"]


def table(config: Config) -> tuple[Kind, ...]:
    """The table as a configuration has it: with its exams."""
    return (*TABLE, *(exam_kind(Path(each)) for each in config.exams))


def kind_of(name: str) -> Kind:
    return next(kind for kind in TABLE if kind.name == name)


def arms(config: Config, child: Generation) -> list[Generation]:
    """A generation, and its control arm where the configuration has one."""
    return [child, child.control] if config.control and child.number else [child]


def _why_card_is_stale(child: Generation) -> str | None:
    """Fresh as long as it names the curriculum that is there: a person may say more in it than we do."""
    if not (child.card.exists() and child.dataset_card.exists()):
        return "missing"
    try:
        text = child.dataset_card.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return str(error)
    named = digest_file(child.curriculum) if child.curriculum.exists() else None
    return (
        None
        if named and named in text
        else "it does not name this curriculum's digest: delete it, and it is made again"
    )


def _why_unpublished(config: Config, child: Generation, path: Path, kinds: tuple[Kind, ...]) -> str | None:
    """Published as long as what lies on the hub, as `path` records it, are the files that are here."""
    assert config.publish  # else it is not wanted
    if not path.exists():
        return "missing"
    published = read_published(path)
    if published.repo != config.publish.repo:
        return f"published in {published.repo}, not in {config.publish.repo}"
    here = {
        name: digest for kind in kinds for arm in arms(config, child) for name, digest in kind.contents(arm).items()
    }
    changed = [name for name, digest in here.items() if published.files.get(name) != digest]
    return f"changed since: {', '.join(changed)}" if changed else None
