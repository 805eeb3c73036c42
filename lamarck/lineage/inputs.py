"""What artifacts are made from: every input that a record names, with its files and its digest. Light."""

from collections.abc import Callable
from pathlib import Path

from lamarck import strict_yaml
from lamarck.config import Config, Form, load_config
from lamarck.config.primer import load_primer
from lamarck.config.strategy import load_strategy
from lamarck.files import digest_file, digest_value, read_regular
from lamarck.lineage.configured import config_of
from lamarck.lineage.digest import model_digest, source_digest, suite_digest, training_digest, weights_digest
from lamarck.lineage.generation import ALL_STEPS, SHIPPED_STUDENT, STUDENT, CampaignStep, Generation
from lamarck.lineage.kind import Files, Input, Piece, Setting
from lamarck.lineage.listing import campaign_file


def model_files(config: Config | None, generation: Generation) -> Files:
    """What a generation of the configuration's lineage is made of: the founder's weights and, for a child, what was, or
    is still to be, trained."""
    files: dict[str, tuple[Path, ...]] = {"weights": (generation.weights,)}
    if not generation.number:
        return files
    form = ADAPTER if generation.is_crossed else config.recipe.form if config else generation.form
    return files | {"change": (generation.directory / form,)}


def _parent_files(config: Config | None, child: Generation) -> Files:
    return _files_of_parent(config, child, child.parent)


def _files_of_parent(config: Config | None, child: Generation, parent: Generation) -> Files:
    if config and parent.number and parent.planned_by.lineage != child.planned_by.lineage:
        # It has a configuration of its own, which decided before this lineage began.
        config = None if parent.change.exists() else config_of(config, parent.lineage)
    return model_files(config, parent)


def _digest_of_model(files: Files) -> str:
    (weights,), change = files["weights"], files.get("change", ())
    return model_digest(weights, change[0] if change else None)


def _one_file(name: str) -> Callable[[Files], str]:
    return lambda files: digest_file(files[name][0])


PARENT = Piece("parent", _parent_files, _digest_of_model)
MODEL = Piece("model", model_files, _digest_of_model)
SUITE = Setting(
    "suite",
    lambda config, generation, files: suite_digest(files["suite"][0].parent),
    lambda config, generation: {"suite": (Path(config.suite) / "suite.yaml",)},
)
STRATEGY = Setting(
    "strategy",
    lambda config, child, files: load_strategy(files["strategy"][0]).digest(),
    lambda config, child: {"strategy": _strategy_files(config, child)},
)
ENGINE = Setting("engine", lambda config, generation, files: config.engine.digest())
RECIPE = Setting("recipe", lambda config, child, files: config.recipe.digest())
SEED = Setting("seed", lambda config, generation, files: str(config.seed))


def student_of(config: Config) -> Path:
    """Whom every generation teaches: the student that lies in the suite, else the one that is made here."""
    shipped = Path(config.suite) / SHIPPED_STUDENT
    return shipped if shipped.is_dir() else STUDENT


def _strategy_files(config: Config, child: Generation) -> tuple[Path, ...]:
    """The strategy's own file, that of the templates it names, and those of the user's own skills and problems."""
    path = config.strategy_of(child.number)
    strategy = load_strategy(path)
    return (path, *([Path(strategy.prompts)] if strategy.prompts else []), *strategy.own_files)


def earlier_curricula(child: Generation) -> tuple[Path, ...]:
    """The curricula of the generations between the founder and the child: what the child's may replay."""
    return tuple(each.curriculum for each in child.line[1:-1] if not each.is_crossed)


def primer_of(config: Config) -> Path | None:
    """The primer's file, where the founder has one."""
    primer = None if config.founder.kind == "tiny" else config.founder.primer
    return None if primer is None else Path(primer)


def has_primer(config: Config, founder: Generation) -> bool:
    return primer_of(config) is not None


def _with_primer(name: str, digest: Callable[[Files], str], file: Callable[[Generation], Path]) -> Setting:
    """An input that there is where the founder has a primer."""
    return Setting(
        name,
        lambda config, founder, files: digest(files),
        lambda config, founder: {name: (file(founder),)} if has_primer(config, founder) else None,
    )


def unprimed(founder: Generation) -> Path:
    return founder.directory / "unprimed"


UNPRIMED_MODEL = _with_primer("unprimed", lambda files: weights_digest(files["unprimed"][0]), unprimed)
PRIMER_ITEMS = _with_primer("curriculum", _one_file("curriculum"), lambda founder: founder.curriculum)
PRIMER_FILE = Setting(
    "primer",
    lambda config, founder, files: load_primer(files["primer"][0]).digest(),
    lambda config, founder: {"primer": (path,)} if (path := primer_of(config)) else None,
)


def _source(config: Config, founder: Generation) -> Files | None:
    return {"source": (Path(config.founder.path),)} if config.founder.kind in ("local", "gguf", "evolved") else None


SOURCE = Setting("source", lambda config, founder, files: source_digest(files["source"][0]), _source)


def _merged(config: Config, founder: Generation) -> Files | None:
    """A merge's file with its documents, and the models that it is made of."""
    if config.founder.kind != "merge":
        return None
    from lamarck.merge.sources import sources_of  # no other founder needs to know what a merge is

    sources = sources_of(Path(config.founder.file))
    return {"merge": (sources.file, *sources.documents), "merged": tuple(sources.models.values())}


def _digest_of_merge(files: Files) -> str:
    return digest_value(
        [[digest_file(path) for path in files["merge"]], [source_digest(path) for path in files["merged"]]]
    )


MERGE = Setting("merge", lambda config, founder, files: _digest_of_merge(files), _merged)


def _founder_inputs() -> tuple[Input, ...]:
    def tiny(setting: Setting) -> Setting:
        """Only what is pretrained here depends on it."""
        return Setting(
            setting.name,
            setting.digest,
            lambda config, founder: setting.files(config, founder) if config.founder.kind == "tiny" else None,
        )

    return (
        Setting("founder", lambda config, founder, files: config.founder.digest()),
        tiny(SUITE),  # whose problems it must not see
        tiny(SEED),
        tiny(Setting("threads", lambda config, founder, files: str(config.engine.founder_threads))),
        SOURCE,
        MERGE,
        UNPRIMED_MODEL,
        PRIMER_ITEMS,
        _with_primer("plan", _one_file("plan"), lambda founder: founder.plan),
    )


FOUNDER_INPUTS = _founder_inputs()


def _like(config: Config | None, child: Generation) -> Files | None:
    """Control arm: the verified curriculum whose size to match."""
    return {"like": (child.planned_by.curriculum,)} if child.is_control else None


def _first_card(config: Config | None, child: Generation) -> Files | None:
    """The founder's own curriculum, relative to which limits are set."""
    return {"first": (child.line[1].card,)} if child.number > 1 else None


def _previous_plan(config: Config | None, child: Generation) -> Files | None:
    return {"previous_plan": (child.parent.plan,)} if child.parent.number else None


def _control_curriculum(config: Config, child: Generation) -> Files | None:
    return {"control_curriculum": (child.control.curriculum,)} if config.control else None


def _control_parent(config: Config, child: Generation) -> Files | None:
    if not config.control:
        return None
    files = _parent_files(config, child.control)
    return {"weights": files["weights"]} | ({"control_change": files["change"]} if "change" in files else {})


def _digest_of_control_parent(files: Files) -> str:
    return _digest_of_model({"weights": files["weights"], "change": files.get("control_change", ())})


LIKE = Piece("like", _like, _one_file("like"))
FIRST = Piece("first", _first_card, None)
EARLIER = Piece(
    "earlier",
    lambda config, child: {"earlier": earlier_curricula(child)},
    lambda files: digest_value([digest_file(path) for path in files["earlier"]]),
)
CHILDS_CURRICULUM = Piece(
    "curriculum", lambda config, child: {"curriculum": (child.curriculum,)}, _one_file("curriculum")
)
PLAN_INPUTS = (
    PARENT,
    CHILDS_CURRICULUM,
    STRATEGY,
    Setting("recipe", lambda config, child, files: digest_value(config.recipe.decisive_settings())),
    SUITE,
    SEED,
    Setting("budget", lambda config, child, files: digest_value(list(config.budget.ceilings(child.number)))),
    # What a human agrees to rent. A price or a speed that is known better by now makes no plan stale; of a run that is
    # still to be trained, the gate asks again.
    Setting("machine", lambda config, child, files: digest_value(list(config.machines.train.place))),
    Piece("parent's plan", _previous_plan, _one_file("previous_plan")),
    Setting("control's parent", lambda config, child, files: _digest_of_control_parent(files), _control_parent),
    Setting(
        "control's curriculum",
        lambda config, child, files: digest_file(files["control_curriculum"][0]),
        _control_curriculum,
    ),
)
ADAPTER: Form = "adapter"  # what crosses are made of, and what they are


def _other_files(config: Config | None, child: Generation) -> Files:
    """The second parent's, under names of their own."""
    return {f"other_{name}": paths for name, paths in _files_of_parent(config, child, child.parents[1]).items()}


OTHER_PARENT = Piece(
    "other parent",
    _other_files,
    lambda files: _digest_of_model({name.removeprefix("other_"): paths for name, paths in files.items()}),
)
CROSS_PLAN_INPUTS = (
    PARENT,
    OTHER_PARENT,
    Setting("crossing", lambda config, child, files: child.crossing.digest()),
    Setting("control", lambda config, child, files: str(config.control)),
    SUITE,
    SEED,
    Piece(
        "parents' plans",
        lambda config, child: dict(
            zip(("previous_plan", "other_plan"), ((each.plan,) for each in child.parents), strict=True)
        ),
        lambda files: digest_value([digest_file(files[name][0]) for name in ("previous_plan", "other_plan")]),
    ),
)
PLANNED = Piece(
    "plan", lambda config, child: {"plan": (child.plan,)}, lambda files: training_digest(read_regular(files["plan"][0]))
)

LEDGER = "ledger.jsonl"  # of a campaign whose file names no other


def inputs_of_result(campaign: str) -> dict[str, Path]:
    """All that decides which lines of a campaign's ledger count, and what they show."""
    path = campaign_file(campaign)
    said = strict_yaml.load(path)
    configfile = Path(said["configfile"])
    config = load_config(configfile)
    own = CampaignStep(campaign, ALL_STEPS).directory / LEDGER
    changed = said.get("config") or {}
    found = {
        "file": path,
        "ledger": Path(said.get("ledger") or own),
        "config": configfile,
        "strategy": Path(changed.get("strategy", config.strategy)),
        "suite": Path(changed.get("suite", config.suite)) / "suite.yaml",
    }
    return found | ({"exam": Path(said["exam"]) / "suite.yaml"} if said.get("exam") else {})
