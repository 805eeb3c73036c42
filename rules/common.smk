# Paths and input functions. Rules hold no logic; what they need to know stands here.
import os
import re
import shlex
import sys
from argparse import ArgumentParser
from functools import partial
from itertools import takewhile
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lamarck import strict_yaml
from lamarck.budget.machine import load_catalogue
from lamarck.budget.rent import kinds_no_worse
from lamarck.config import FORMS, load_config
from lamarck.curriculum.cell import checked_strategy
from lamarck.errors import LamarckError
from lamarck.founder.gguf import check_gguf
from lamarck.founder.local import check_model_directory
from lamarck.gate.check import gate_state
from lamarck.gate.journal import journal_of, spent_directory
from lamarck.gate.plan import read_childs_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.signature import signature_of
from lamarck.gate.standing import (
    next_step,
    remember_start,
    standing,
    waiting_elsewhere,
    what_they_wait_for,
)
from lamarck.lineage.artifacts import (
    CAMPAIGN_RESULT,
    EXAM_FILES,
    PLAN,
    arms,
    exam_kind,
    kind_of,
    trained_kind,
)
from lamarck.lineage.inputs import primer_of
from lamarck.lineage.configured import config_of
from lamarck.lineage.dvc import record_outputs
from lamarck.lineage.freshness import keep_edits, survey
from lamarck.lineage.generation import (
    STUDENT,
    Generation,
    description_files,
    parse_generation,
)
from lamarck.lineage.listing import (
    crossed_generations,
    described_lineages,
    sharing_generations,
)
from lamarck.lineage.records import CODE_VARIABLE, code_state
from lamarck.lineage.times import ContentTimes, Made, decide_by, made
from lamarck.merge.sources import sources_of
from lamarck.models.hub import check_may_write
from lamarck.output import guard_output
from lamarck.progress import TERMINAL_VARIABLE
from lamarck.report.lineage import SUMMARY_FILES, why_stale
from lamarck.run_lock import check_writable, take_run_lock
from lamarck.visible import visible_text


wildcard_constraints:
    prefix=r"(?:[\w-]+/)*",
    n=r"\d+",


CHILD = r"[1-9]\d*"  # the number of a generation that has a parent


# What is printed here may hold words of files: a name in an approval, a model's text.
guard_output()

# Rules start `python`: this environment's, also where nobody has activated it.
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()])
)
# The libraries' own bars and notices would drown the stages' lines.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
# Tensors of some megabytes come and go at every step of writing: glibc is to keep their memory instead of asking the
# system for it again.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(32 << 20))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(256 << 20))

# Jobs on other machines have the files, not git's history: the controller tells them which revision they run.
if workflow.is_main_process:
    os.environ.pop(CODE_VARIABLE, None)
    os.environ[CODE_VARIABLE] = code_state().model_dump_json()


envvars:
    CODE_VARIABLE,


# One file says what is run, because plans and records are made from files: no second opinion on the command line.
if set(workflow.config_settings.config) - {"generations"}:
    raise WorkflowError(
        "only generations can be set with --config: write the rest into a file and pass --configfile"
    )

if len(workflow.overwrite_configfiles) > 1:
    _file, _target, *_ = (
        shlex.quote(os.path.relpath(path)) for path in workflow.overwrite_configfiles
    )
    raise WorkflowError(
        "--configfile takes every word behind it for a file of configuration: name what is to be made before it, "
        f"as in `snakemake {_target} --configfile {_file}`"
    )

# Snakemake knows only after it has read this file that it is to do nothing.
DRY_RUN = any(
    re.fullmatch(r"--dry-?run|-[pkFf]*n[pkFfq]*", word) for word in sys.argv[1:]
)

# A job elsewhere has its own inputs only, and decides nothing by them.
SETTLED = set()

# What to run next is said with the profile of this run.
_options = ArgumentParser(add_help=False, allow_abbrev=False)
_options.add_argument("--profile")
PROFILE = _options.parse_known_args()[0].profile

CONFIG = (
    os.path.relpath(workflow.overwrite_configfiles[0])
    if workflow.overwrite_configfiles
    else "config/default.yaml"
)

try:
    CONF = load_config(Path(CONFIG))
    if "generations" in workflow.config_settings.config:
        CONF = CONF.model_copy(
            update={"generations": int(workflow.config_settings.config["generations"])}
        )
    if CONF.founder.kind in ("local", "evolved"):
        # Snakemake takes an output whose input is gone for a source file, and would use the old founder.
        check_model_directory(Path(CONF.founder.path))
    elif CONF.founder.kind == "gguf":
        check_gguf(Path(CONF.founder.path))
    elif CONF.founder.kind == "merge":
        sources_of(Path(CONF.founder.file))
    if workflow.is_main_process:
        check_writable(Path(".snakemake"))
        if not DRY_RUN:
            take_run_lock()
        if sys.stderr.isatty():
            os.environ[TERMINAL_VARIABLE] = os.ttyname(2)
        MAIN = survey(CONF)
        ARTIFACTS = [
            *MAIN,
            *(
                each
                for lineage in described_lineages()
                for each in survey(CONF, lineage)
            ),
        ]
        SUMMARY = Made(SUMMARY_FILES, why_stale(CONF) is not None, (), lambda: False)
        SHOWN = [
            Made(
                tuple(CAMPAIGN_RESULT.paths(name).values()),
                CAMPAIGN_RESULT.why_stale(name) is not None,
                (),
                lambda: False,
            )
            for name in CAMPAIGN_RESULT.made_here()
        ]
        TIMES = ContentTimes(
            [*(made(each, CONF) for each in ARTIFACTS), SUMMARY, *SHOWN]
        )
        decide_by(TIMES)
        if not DRY_RUN:
            for edited in keep_edits(ARTIFACTS):
                print(edited, file=sys.stderr)
        # Where only a human can go on, no rule runs and no hook speaks.
        STANDING = standing(CONF, MAIN, SUMMARY.stale)
        STALE = {artifact.name for artifact in ARTIFACTS if artifact.stale}
        # Plans of the main lineage before which nothing is to be made: what they say, they say to the end of this run.
        SETTLED = {
            artifact.generation.number
            for artifact in takewhile(lambda each: not each.stale, MAIN)
            if artifact.kind is PLAN
        }
        if CONF.publish and STANDING.state == "work" and not DRY_RUN:
            # A token that may not write is said now, not after hours of training.
            check_may_write(CONF.publish.repo, CONF.publish.public)
        if STANDING.state != "work":
            if STANDING.state == "gate" and not DRY_RUN:
                remember_start(CONFIG, PROFILE)
            print(next_step(CONF, CONFIG, STANDING, PROFILE), file=sys.stderr)
except LamarckError as error:
    raise WorkflowError(visible_text(str(error)))

# A new pod installs what the engine needs.
os.environ["LAMARCK_ENGINE"] = CONF.engine.kind


envvars:
    "LAMARCK_ENGINE",


CATALOGUE = load_catalogue()
# Whether the suite's student is pretrained (tiny), shipped with the suite, or named on the hub. Of the whole suite only
# this: a job is not to read all of it to learn that.
_suite = strict_yaml.load(Path(CONF.suite) / "suite.yaml")
STUDENT_KIND = _suite["tiers"]["teaching"]["student"]["kind"]
GENERATIONS = range(1, CONF.generations + 1)
# A founder with a primer waits for a human as well.
GATED = range(0 if primer_of(CONF) else 1, CONF.generations + 1)


# Children of two parents have rules of their own.
CROSSED = "|".join(each.name for each in crossed_generations()) or "none"
CROSSED_CONTROLS = (
    "|".join(each.control.name for each in crossed_generations()) or "none"
)


# Founders without a primer, as they stand before `g0` in paths: of a configuration that has one, those of lineages which
# begin with what came of it.
UNPRIMED_PREFIXES = (
    "|".join(
        f"{lineage}/"
        for lineage in described_lineages()
        if not primer_of(config_of(CONF, lineage))
    )
    or "none/"
    if primer_of(CONF)
    else r"(?:[\w-]+/)*"
)
# What another generation's curriculum is, too, is not written again.
SHARING = (
    "|".join(arm.name for each in sharing_generations() for arm in (each, each.control))
    or "none"
)


def generation_of(wildcards):
    """The generation of a rule's paths: g0 where they have no number."""
    if named := wildcards.get("crossed") or wildcards.get("sharing"):
        return parse_generation(named)
    return Generation(int(wildcards.get("n", 0)), wildcards.prefix.removesuffix("/"))


STAGES = ("curriculum", "plan", "train", "eval")


def furthest_first(stage):
    """The priority of a stage of a campaign's member: those that are nearer their end go on first, so that a run which is
    cut short has finished some of them. Other lineages have no order."""

    def priority(wildcards):
        generation = generation_of(wildcards)
        if not generation.campaign_step:
            return 0
        reached = generation.number * len(STAGES) + STAGES.index(stage)
        return 2 * reached + generation.is_control  # before a member that is as far

    return priority


def exams_made():
    """The outputs of the rule that lets a generation sit an exam."""
    return {
        name: f"results/{{prefix}}g{{n}}/exams/{{exam}}.{rest}"
        for name, rest in EXAM_FILES.items()
    }


def exam_inputs_of(wildcards):
    generation = generation_of(wildcards)
    suites = config_of(CONF, generation.lineage).exams
    for suite in suites:
        if Path(suite).name == wildcards.exam:
            return inputs_of(exam_kind(Path(suite)), generation) | plan_behind(
                generation
            )
    raise WorkflowError(f"{wildcards.exam} is not among the configuration's `exams`")


def made_by(kind):
    """The outputs of the rule that makes artifacts of a kind, as the table of artifacts names them."""
    kind = kind_of(kind)
    number = "0" if kind.made_for == "founder" else "{n}"
    return {
        name: f"results/{{prefix}}g{number}/{path}" for name, path in kind.files.items()
    }


def made_from(kind):
    """The input function of that rule: every file that its record hangs on."""

    def files(wildcards):
        return inputs_of(kind, generation_of(wildcards))

    return files


def results_of_campaigns():
    """The outputs of the rule that says what a campaign shows."""
    return {
        name: str(path) for name, path in CAMPAIGN_RESULT.paths("{campaign}").items()
    }


def result_inputs_of(wildcards):
    found = CAMPAIGN_RESULT.inputs(wildcards.campaign)
    return {name: str(path) for name, path in found.items()}


def inputs_of(kind, generation):
    """Every file that a generation's artifact of a kind is made from, by the names of the table."""
    kind = kind_of(kind) if isinstance(kind, str) else kind
    found = kind.input_files(config_of(CONF, generation.lineage), generation)
    # Jobs on other machines need them, too.
    if described := description_files(generation):
        found = {**found, "descriptions": described}
    return {
        name: str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]
        for name, paths in found.items()
    }


def gate_is_open(child):
    """Whether `child` may be trained. Waiting is no error; an approval that does not hold is."""
    if child.is_crossed:
        checkpoints.cross_plan.get(crossed=child.name)
    elif not child.number:
        checkpoints.primer_plan.get(prefix=child.prefix)
    elif child.lineage or child.number not in SETTLED:
        checkpoints.plan.get(prefix=child.prefix, n=child.number)
    if workflow.is_main_process:
        TIMES.look_again(child.plan)
    gate = gate_state(child, child.plan, child.approval)
    if gate.state == "refused":
        raise WorkflowError(visible_text(gate.sentence))
    return gate.state == "open"


# Numbers of the gates that were found open. Snakemake asks for all of them again behind every checkpoint; a plan that it has
# made is not made twice in one run, and whether the answer to it still holds when a training begins, the trainer asks.
OPEN = set()


def gates_are_open(last):
    for number in GATED:
        if number <= last and number not in OPEN:
            if not gate_is_open(Generation(number)):
                return False
            OPEN.add(number)
    return True


def scores_of(number, wildcards):
    """eval.json of gN and its control arm, once every gate up to gN is open."""
    if not gates_are_open(number):
        return []
    generation = Generation(number)
    return [str(arm.scores) for arm in arms(CONF, generation)]


def exams_of(number, wildcards):
    """The exams of gN and its control arm, once every gate up to gN is open."""
    if not gates_are_open(number):
        return []
    kinds = [exam_kind(Path(suite)) for suite in CONF.exams]
    return [
        str(kind.path(arm))
        for arm in arms(CONF, Generation(number))
        for kind in kinds
        if kind.is_made_for(CONF, arm)
    ]


def plan_of(number, wildcards):
    """plan.json of gN, once every gate before it is open."""
    return [str(Generation(number).plan)] if gates_are_open(number - 1) else []


def dataset_cards_of(number, wildcards):
    """curriculum.md of gN and its control arm, once every gate before it is open."""
    if not gates_are_open(number - 1):
        return []
    return [str(arm.dataset_card) for arm in arms(CONF, Generation(number))]


def published_of(number, wildcards):
    """Where the configuration says so: gN on the hub, and its scores, once every gate up to gN is open."""
    if not CONF.publish or not gates_are_open(number):
        return []
    return [
        str(Generation(number).published),
        str(Generation(number).published_scores),
    ]


# Looked at also where nothing is made of it any more.
CHECKS = (
    [str(kind_of("founder_check").path(Generation(0)))]
    if kind_of("founder_check").is_made_for(CONF, Generation(0))
    else []
)
# One function a generation: a plan that is still to be made holds back only what lies behind its gate.
SCORES = [partial(scores_of, number) for number in (0, *GENERATIONS)]
EXAMS = [partial(exams_of, number) for number in (0, *GENERATIONS)]
PLANS = [partial(plan_of, number) for number in GATED]
PUBLISHED = [partial(published_of, number) for number in GENERATIONS]
DATASET_CARDS = [partial(dataset_cards_of, number) for number in GENERATIONS]


def publication_before(made, generation):
    """What waits until `generation` is on the hub: whatever is still to be made from it. Only the controller publishes,
    and a job on another machine needs nothing of that."""
    waits = workflow.is_main_process and made in STALE
    if not (CONF.publish and waits and not generation.planned_by.lineage):
        return {}
    return {"published": str(generation.published)} if generation.number else {}


def plan_behind(doer):
    """What a generation may spend on what it does: no ingredient, so a ceiling that was raised makes nothing again."""
    return {"plan": ancient(str(doer.planned_by.plan))} if doer.number else {}


def curriculum_inputs_of(wildcards):
    child = generation_of(wildcards)
    if workflow.is_main_process:
        # A skill that does not exist is said before anything runs.
        checked_strategy(config_of(CONF, child.lineage).strategy_of(child.number))
    published = publication_before(f"{child.name}/curriculum.jsonl", child.parent)
    return (
        made_from("curriculum")(wildcards)
        | published
        | plan_behind(child.parent)
        | founder_check_of(f"{child.name}/curriculum.jsonl", child.founder)
    )


def shared_curriculum_inputs_of(wildcards):
    child = generation_of(wildcards)
    writer = child.written_for
    # One that is what it should be is not taken over again, whatever came of the one that it was.
    waits = workflow.is_main_process and f"{child.name}/curriculum.jsonl" in STALE
    written = {"written": str(writer.curriculum), "written_card": str(writer.card)}
    return curriculum_inputs_of(wildcards) | (written if waits else {})


def founder_check_of(made, founder):
    """What is made of a founder waits until that has been looked at; what is there already does not, since a rule that
    runs has whatever takes its output made again. Only the controller knows which it is.
    """
    kind = kind_of("founder_check")
    waits = workflow.is_main_process and made in STALE
    if not (waits and kind.is_made_for(config_of(CONF, founder.lineage), founder)):
        return {}
    return {"check": str(kind.path(founder))}


def scores_inputs_of(wildcards):
    generation = generation_of(wildcards)
    published = publication_before(f"{generation.name}/eval.json", generation)
    return made_from("scores")(wildcards) | published | plan_behind(generation)


def primer_plan_inputs_of(wildcards):
    founder = generation_of(wildcards)
    return made_from("primer_plan")(wildcards) | founder_check_of(
        f"{founder.name}/plan.json", founder
    )


def prime_inputs_of(wildcards):
    founder = generation_of(wildcards)
    if workflow.is_main_process:
        check_answered(founder)
    return made_from("weights")(wildcards) | answers({"approval": founder.approval}, {})


def train_inputs_of(wildcards):
    child = generation_of(wildcards)
    trained = trained_kind(config_of(CONF, child.lineage))
    if wildcards.form != trained.form:
        raise WorkflowError(
            f"{child.name} is trained as {trained.form}, as `recipe.form` says: ask for {trained.path(child)}"
        )
    # A job on another machine has its own inputs only, not what the gate before it is decided from: there the trainer
    # checks, here also before the job begins: Snakemake would take the old child away first.
    if workflow.is_main_process:
        check_answered(child)
    # All of the plan's inputs, the other arm's too: wherever the job runs, the gate makes the plan anew from them.
    planned = child.planned_by
    files = inputs_of(trained, child) | inputs_of("plan", planned)
    approvals = {"approval": planned.approval}
    plans = {"campaign_plan": step.plan} if (step := child.campaign_step) else {}
    if step and step.search:
        plans["search_plan"] = step.search_plan
    if planned.parent.number:
        approvals["parent_approval"] = planned.parent.approval
        if before := planned.parent.campaign_step:
            plans["parent_campaign_plan"] = before.plan
    return files | answers(approvals, plans)


def cross_inputs_of(wildcards):
    child = generation_of(wildcards)
    if workflow.is_main_process:
        check_answered(child)
    planned = child.planned_by
    files = inputs_of("crossed", child) | inputs_of("cross_plan", planned)
    approvals = {"approval": planned.approval}
    plans = {"campaign_plan": step.plan} if (step := child.campaign_step) else {}
    for name, parent in zip(("parent", "other_parent"), planned.parents):
        approvals[f"{name}_approval"] = parent.planned_by.approval
        if step := parent.planned_by.campaign_step:
            plans[f"{name}_campaign_plan"] = step.plan
    return files | answers(approvals, plans)


def check_answered(generation):
    """Before a training begins here: a human has answered, and what was answered holds."""
    step = generation.campaign_step
    if not generation.approval.exists():
        advice = (
            f"`lamarck campaign run {step.file}` asks"
            if step
            else "Run a bare `snakemake`: it stops at the first gate that waits for you"
        )
        raise WorkflowError(f"{generation.name} waits for a human. {advice}.")
    if not step:
        gate_is_open(generation.planned_by)


def answers(approvals, plans):
    """Approvals with their signatures, and the campaign's plans that they answer. They are no ingredients: their dates
    must not train anything again."""
    signatures = {
        f"{name}_signature": signature_of(path)
        for name, path in approvals.items()
        if signature_of(path).exists()
    }
    named = approvals | signatures | plans
    return {name: ancient(str(path)) for name, path in named.items()}


def approved_dollars(wildcards, input):
    """What the approved plan lets the run cost where it is rented; None: it says nothing, or is still to be made."""
    # While the gate's checkpoint is still to be looked at, Snakemake has no inputs by name.
    plan = Path(str(input.get("plan", "")))
    return read_childs_plan(plan).budget.dollars if plan.is_file() else None


def approved_plan(wildcards, input):
    """The digest of the plan: all runs that train by it spend its dollars together."""
    plan = Path(str(input.get("plan", "")))
    return plan_digest(read_childs_plan(plan)) if plan.is_file() else None


def journals_of(wildcards, input):
    """The directory of a child's journals. One that is refused is said here, before anything is rented."""
    child = generation_of(wildcards)
    plan = Path(str(input.get("plan", "")))
    if workflow.is_main_process and plan.is_file():
        try:
            journal_of(child.name, plan_digest(read_childs_plan(plan))).read()
        except LamarckError as error:
            raise WorkflowError(f"{visible_text(str(error))}.") from error
    return str(spent_directory(child.name))


def rented(step):
    """What a job asks of a rented pod: `params` that an executor which rents reads, and no rule's command."""

    def machine(wildcards):
        return getattr(config_of(CONF, generation_of(wildcards).lineage).machines, step)

    return {
        # The kind that was planned, or one that is no worse: then hours and dollars are as planned, or less.
        "gpus": lambda wildcards: ", ".join(
            kinds_no_worse(CATALOGUE, machine(wildcards).gpu)
        ),
        "gpu_count": lambda wildcards: machine(wildcards).count,
        # Where several pods are rented at once, each raises one lineage or control arm.
        "apart": lambda wildcards: generation_of(wildcards).lineage or "main",
        "secrets": "HF_TOKEN" if "hub" in (CONF.founder.kind, STUDENT_KIND) else "",
    }


def served(step):
    """What serves the model to a job that runs beside its pod: for a pod on which what it writes cannot be judged."""

    def render(wildcards, input):
        generation = generation_of(wildcards)
        words = ["python", "-m", "lamarck.engine.served", "--config", str(input.config)]
        words += ["--generation", generation.name, "--weights", str(input.weights)]
        words += ["--change", str(change)] if (change := input.get("change")) else []
        return shlex.join(
            [*words, "--step", step, "--threads", str(CONF.engine.threads)]
        )

    return render


def option(name, key):
    """`--name files` for an input that not every generation has."""

    def render(wildcards, input):
        files = input.get(key, [])
        words = [files] if isinstance(files, str) else list(files)
        return shlex.join([f"--{name}", *words]) if words else ""

    return render


def finish_run():
    """Tell DVC what there is, and the person what to do next."""
    record_outputs(CONF, Path(CONFIG))
    now = standing(CONF, survey(CONF), why_stale(CONF) is not None)
    waiting = waiting_elsewhere(described_lineages())
    if now.state == "gate" or waiting:
        remember_start(CONFIG, PROFILE)
    print(next_step(CONF, CONFIG, now, PROFILE), file=sys.stderr)
    for sentence in what_they_wait_for(waiting):
        print(f"{sentence}\n", file=sys.stderr)
