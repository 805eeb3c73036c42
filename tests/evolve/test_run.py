"""A run from its approval to its report, gone on with at any place, and refused where its ground has moved."""

import importlib
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch

from lamarck.arch.genome import Objective, load_genome
from lamarck.arch.model import build_model
from lamarck.commands import evolve as commands
from lamarck.errors import LamarckError
from lamarck.evolve.ablation import variants
from lamarck.evolve.file import Evolving, load_evolution
from lamarck.evolve.ledger import TrainedLine
from lamarck.evolve.measure import kept_bytes
from lamarck.evolve.places import Places
from lamarck.evolve.pool import Pool, value_of
from lamarck.evolve.probes import ASKED, accuracy, probe_rows
from lamarck.evolve.report import report
from lamarck.evolve.run import EvolutionRun, chooser, promoted
from lamarck.evolve.scores import GenomeScores
from lamarck.evolve.text import corpus_of
from lamarck.evolve.training import Schedule, train
from lamarck.files import file_digests, read_json
from lamarck.gate.allowance import Allowance
from lamarck.gate.journal import journal_of
from lamarck.models.opening import open_genome_model
from lamarck.run_lock import holding
from tests.arch.kinds import genome_of
from tests.evolve.small import ATTENTION, FFN, SEED, evolution, ledger, run

SMALL = Places("small")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in which the small evolution has run, without an interruption."""
    directory = tmp_path_factory.mktemp("finished")
    before = Path.cwd()
    os.chdir(directory)
    try:
        assert run(evolution(directory)) == "all 2 generations and the controls are done"
    finally:
        os.chdir(before)
    yield directory


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def copied(finished: Path, project: Path) -> Evolving:
    shutil.copytree(finished, project, dirs_exist_ok=True)
    return evolution(project)


def made(directory: Path) -> dict[str, str]:
    """Everything that must be the same whenever it is made again."""
    root = directory / "results/evolve/small"
    return {name: digest for name, digest in file_digests(root).items() if name not in ("clock.jsonl", "report.md")}


def test_a_run_tells_front_lines_controls_and_archive(finished: Path, copied: Evolving) -> None:
    pool = Pool(copied, ledger(copied))
    page = report(copied, pool.ledger)
    assert pool.front() and len(pool.full()) >= 4
    for heading in ("## The front", "## The controls", "## The lines of descent", "## Motifs", "## The archive"):
        assert heading in page
    assert "95% interval" in page and "```diff" in page and "┌ block 0 " in page and "drift" in page
    best = min(pool.full(), key=lambda each: each[1].scores.bits_per_byte)[0].candidate
    arms = {each.arm for each in pool.ledger.compared() if each.arm != "repeat"}
    assert arms == {"line", "scratch", "scratch at equal compute", "llama"}
    line, compute, llama = (
        next(each for each in pool.ledger.compared() if each.arm == arm)
        for arm in ("line", "scratch at equal compute", "llama")
    )
    assert compute.flops == pytest.approx(line.flops, rel=0.01) and llama.tokens == line.tokens
    assert llama.parameters == pytest.approx(line.parameters, rel=0.02)
    assert best in page


def test_weights_are_handed_down(copied: Evolving) -> None:
    """A child begins where its parent ended: what was carried exactly has its loss."""
    found = ledger(copied)
    children = [each for each in found.born() if each.generation == 1]
    begun = [found.trained(each.candidate, "short") for each in children]
    assert children and all(each is not None and each.inherited > 0.5 for each in begun)
    for each in begun:
        assert each is not None and each.loss_before is not None and each.loss_after is not None
        if each.exact:
            assert each.loss_after == pytest.approx(each.loss_before, abs=1e-4)
    parent = children[0].parents[0]
    assert open_genome_model(SMALL.model(parent, "full"), found.birth(parent).read())


def test_a_run_that_is_over_does_nothing_again(copied: Evolving) -> None:
    before, said = made(Path()), list[str]()
    run(copied, said)
    assert said == [] and made(Path()) == before


def killed(module: str, name: str, at: int) -> None:
    """In a process of its own: run, and die when `name` is called for the `at`th time."""
    place = importlib.import_module(f"lamarck.evolve.{module}")
    whole, count = getattr(place, name), 0

    def dies(*arguments: object, **named: object) -> object:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **named)

    setattr(place, name, dies)
    run(evolution(Path()))


def in_a_process(target: Callable[..., None], *arguments: object) -> int:
    """Its exit code. A fork: nothing has to be imported again."""
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize(
    ("module", "name", "at"),
    [
        ("laboratory", "train", 2),  # at the short rung
        ("laboratory", "digest_directory", 5),  # weights are there, and no line says so: at the full rung
        ("ledger", "append_line", 30),  # between the clock's line and the ledger's: a child's
        ("laboratory", "train", 15),  # in the controls
    ],
)
def test_sigkill_at_any_rung_changes_nothing(module: str, name: str, at: int, finished: Path, project: Path) -> None:
    assert in_a_process(killed, module, name, at) == -signal.SIGKILL
    with SMALL.ledger.open("ab") as file:
        file.write(b'{"kind": "born", "cand')  # and half a line
    run(evolution(project))
    assert made(project) == made(finished)


def test_another_seed_would_be_seen(finished: Path, project: Path) -> None:
    values = evolution(project).file.model_copy(update={"seed": 5, "generations": 1})
    other = Evolving("small", Path("small.yaml"), Path("small.yaml").read_bytes(), values, (SEED,))
    run(other)
    common = made(project).keys() & made(finished).keys()
    weights = [name for name in common if name.endswith("g0-c00/full/model.safetensors")]
    assert weights and all(made(project)[name] != made(finished)[name] for name in weights)


def test_seconds_add_up_over_attempts_and_the_ceiling_holds(project: Path) -> None:
    evolving = evolution(project, device_seconds=0.02)
    assert run(evolving) == "the 0.02 device-seconds approved are spent"
    again = run(evolving)
    assert again == "the 0.02 device-seconds approved are spent"
    [journal] = Path("approvals/spent/evolve/small").glob("*.jsonl")
    assert journal_of("evolve/small", journal.stem).spent() >= 0.02
    assert not any(each.arm == "llama" for each in ledger(evolving).compared())


def test_nothing_is_trained_before_it_is_approved(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamarck.evolve import laboratory
    from lamarck.evolve.run import run_evolution
    from lamarck.gate.approval import Approver

    monkeypatch.setattr(laboratory, "train", lambda *arguments: pytest.fail("it trains"))
    with pytest.raises(LamarckError, match="is not the digest"):
        run_evolution(evolution(project), lambda: Approver(name="T"), lambda plan: "no", None, lambda line: None)
    assert not SMALL.ledger.exists() and not Path("approvals/evolve/small.ok").exists()


def test_a_file_that_changed_goes_on_under_another_name(copied: Evolving, project: Path) -> None:
    with pytest.raises(LamarckError, match="the file, repeats of evolve/small is not what it began with"):
        run(evolution(project, repeats=3))
    with pytest.raises(LamarckError, match=r"the seeds\.seed\.yaml"):
        run(evolution(project, seed=genome_of({"attn": ATTENTION, "ffn": FFN}, emb={"dim": 16, "vocab": 257})))


def second_run() -> None:
    with pytest.raises(LamarckError, match="another process is at work on the evolution small"):
        run(evolution(Path()))


def test_two_runs_at_once_are_refused(copied: Evolving) -> None:
    with holding(SMALL.lock, "held"):
        assert in_a_process(second_run) == 0


def test_weights_that_are_not_the_ledgers_are_refused(copied: Evolving, project: Path) -> None:
    parent = next(each.parents[0] for each in ledger(copied).born() if each.generation == 1)
    weights = SMALL.model(parent, "full") / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    lines = SMALL.ledger.read_text().splitlines(keepends=True)
    child = next(place for place, line in enumerate(lines) if '"rung": "short"' in line and '"g1-' in line)
    SMALL.ledger.write_text("".join(lines[:child]))
    with pytest.raises(LamarckError, match="is not what the ledger says"):
        run(copied)
    shutil.rmtree(weights.parent)
    with pytest.raises(LamarckError, match="is missing"):
        run(copied)


def test_a_checkpoint_of_another_genome_is_refused(copied: Evolving) -> None:
    other = genome_of({"attn": ATTENTION, "ffn": {**FFN, "hidden": 24}}, emb={"dim": 16, "vocab": 257})
    with pytest.raises(LamarckError, match="another genome"):
        open_genome_model(SMALL.model("g0-c00", "full"), other)


def test_all_that_diverge_are_an_error(project: Path) -> None:
    wild = SEED.model_copy(update={"train": SEED.train.model_copy(update={"lr": 1e6, "clip": 1e6})})
    with pytest.raises(LamarckError, match=r"every candidate of generation 0 came to nothing \(the (loss|gradient)"):
        run(evolution(project, seed=wild, evolution={"rung1_tokens": 192 * 12, "rung2_tokens": 192 * 20}))


def test_without_the_first_seed_the_best_of_the_others_go_on(project: Path) -> None:
    """It came to nothing, and there is nobody to race against: the order of births is no order."""
    evolving = evolution(project, evolution={"topk_keep": 0.67})
    nobody = EvolutionRun(evolving, SMALL, ledger(evolving), None, print)  # type: ignore[arg-type]
    short = [trained("g0-c00", None), trained("g0-c01", 3.0), trained("g0-c02", 1.0), trained("g0-c03", 2.0)]
    assert promoted(nobody, short) == ["g0-c02", "g0-c03"]


def trained(candidate: str, score: float | None) -> TrainedLine:
    scores = None if score is None else GenomeScores(blocks=(score,) * 16, memory=1, parameters=1, instability=0.0)
    stopped = "tokens" if scores else "the loss is not a number"
    return TrainedLine(candidate=candidate, rung="short", steps=1, tokens=1, stopped=stopped, scores=scores)


def test_every_objective_is_measured(project: Path) -> None:
    """And a target that the short training reached is reached where it was, not anew in the full one."""
    evolving = evolution(
        project,
        probes={"share": 0.5, "gap": 24, "pairs": 3},
        target=9.0,  # a fresh model's is about 8
        generations=1,
        controls={"seeds": []},
        evolution={"population": 2, "topk_keep": 1.0, "pareto_objectives": list(get_args(Objective))},
    )
    run(evolving)
    pool = Pool(evolving, ledger(evolving))
    [(first, full), *others] = pool.full()
    assert [each.candidate for each, _ in others] == ["g0-c01"]
    values = pool.values(first, full)
    assert values.keys() == set(get_args(Objective)) and float("inf") not in values.values()
    model = open_genome_model(SMALL.model("g0-c00", "full"), first.read())
    assert values["parameters"] == sum(each.numel() for each in model.parameters())
    assert values["memory"] == kept_bytes(model, 48, torch.device("cpu"))
    asked = {kind: probe_rows(kind, evolving.file.probes, 48, ASKED, 0) for kind in ("passkey", "recall")}
    assert {kind: values[kind] for kind in asked} == {
        kind: accuracy(model, rows, torch.device("cpu")) for kind, rows in asked.items()
    }
    assert values["throughput"] > 0 and values["instability"] > 0 and values["novelty"] == 0
    assert pool.values(*others[0])["novelty"] > 0
    assert values["tokens_to_target"] == 48 * 4  # after the first of four looks
    assert values["time_to_target"] == pool.ledger.times["short g0-c00"].time_to_target


def test_a_training_ends_where_its_loss_is_no_number(project: Path) -> None:
    """Before a step is taken with it."""
    evolving = evolution(project)
    model = build_model(evolving.adapted(SEED, 257), 0)
    with torch.no_grad():
        model.blocks[1].branches["ffn"].down_proj.weight[0, 0] = float("nan")
    before = model.embed.weight.clone()
    corpus = corpus_of(evolving.file.text, evolving.file.data)
    found = train(model, corpus, None, Schedule(768, 768, 192), 0, {}, 0, Allowance("a test", 60), lambda *seen: None)
    assert (found.stopped, found.steps) == ("the loss is not a number", 0)
    assert torch.equal(model.embed.weight, before)


def test_what_is_too_large_is_refused_before_it_is_asked_about(project: Path) -> None:
    with pytest.raises(LamarckError, match=r"seed\.yaml is too large: it has .* parameters, and limits"):
        run(evolution(project, limits={"parameters": 1000}))
    wide = genome_of({"attn": ATTENTION, "ffn": {"type": "dense", "hidden": 10**9}}, emb={"dim": 4096, "vocab": 257})
    with pytest.raises(LamarckError, match="GB, and this machine has"):
        run(evolution(project, "wide", seed=wide, limits={"parameters": 10**15, "memory_mb": 1e15}))
    assert not Path("results").exists()


def test_a_full_disk_is_a_sentence_and_the_run_goes_on(project: Path, finished: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        evolving = evolution(project)
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, limit[1]))
        with pytest.raises(LamarckError, match=r"cannot write results/evolve/small/candidates/g0-c00/short"):
            run(evolving)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(Path("results").rglob("*.partial")) and not SMALL.model("g0-c00", "short").exists()
    assert [each.candidate for each in ledger(evolving).born()] == ["g0-c00", "g0-c01", "g0-c02"]
    run(evolving)
    assert made(project) == made(finished)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": []}, "the population is empty"),
        ({"evolution": {"population": 0}}, "evolution.population"),
        ({"generatons": 2}, "unknown key 'generatons': did you mean 'generations'"),
        ({"operators": {"toggle_smm": 1}}, "unknown operator 'toggle_smm': did you mean 'toggle_ssm'"),
        ({"evolution": {"parent_selection": "lexicaze"}}, "evolution.parent_selection"),
        ({"evolution": {"pareto_objectives": ["bits_per_byte", "ppl_math"]}}, "pareto_objectives"),
        ({"evolution": {"pareto_objectives": ["memory"]}}, "bits_per_byte comes first"),
        ({"evolution": {"pareto_objectives": ["bits_per_byte", "recall"]}}, "names recall, which needs `probes`"),
        ({"evolution": {"pareto_objectives": ["bits_per_byte", "time_to_target"]}}, "which needs a `target`"),
        ({"probes": {"gap": 48}}, "do not fit"),
        ({"evolution": {"rung1_tokens": 10}}, "less than one batch"),
        ({"controls": {"seeds": [0]}}, "none of which chose"),
        ({"text": {"kind": "wheel"}}, "text"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused(changes: dict, sentence: str, project: Path) -> None:
    with pytest.raises(LamarckError, match=sentence):
        evolution(project, **changes)


def test_genomes_that_are_wrong_are_refused_by_their_path(project: Path) -> None:
    evolution(project)
    text = Path("seed.yaml").read_text()
    for old, new, sentence in (
        ("rope: standard", "rope: standrd", r"seed\.yaml: unknown .*rope 'standrd': did you mean 'standard'"),
        ("heads: 2", "heads: 0", r"seed\.yaml: .*heads"),
        ("head_dim: 8", "head_dim: 7", "head_dim must be even"),
        ("hidden: 16", "hiden: 16", "did you mean 'hidden'"),
    ):
        Path("seed.yaml").write_text(text.replace(old, new))
        with pytest.raises(LamarckError, match=sentence):
            load_evolution(Path("small.yaml"))


def test_an_exported_seed_is_evaluated_first(copied: Evolving, project: Path) -> None:
    commands.export_seed("small", "g1-c00", Path("exported.yaml"))
    assert load_genome(Path("exported.yaml")).digest() == ledger(copied).birth("g1-c00").digest
    values = evolution(project, "again", seeds=["exported.yaml", "seed.yaml"], generations=1, controls={"seeds": []})
    said: list[str] = []
    run(values, said)
    assert said[0] == "g0-c00: seed of nobody" and values.seeds[0] == load_genome(Path("exported.yaml"))
    assert ledger(values).birth("g0-c00").digest == ledger(copied).birth("g1-c00").digest


def test_commands_say_what_there_is(copied: Evolving, capsys: pytest.CaptureFixture[str]) -> None:
    commands.status("small", True)
    assert '"generations": 2' in capsys.readouterr().out
    commands.archive("small", True)
    assert '"niche"' in capsys.readouterr().out
    commands.report("small", True)
    assert '"controls"' in capsys.readouterr().out
    with pytest.raises(LamarckError, match=r"no evolution has run here by the name of smal \(there is: small\)"):
        commands.status("smal", True)
    with pytest.raises(LamarckError, match="knows no candidate g9-c99"):
        commands.export_seed("small", "g9-c99", Path("x.yaml"))


def test_an_ablation_takes_every_part_away(copied: Evolving, project: Path) -> None:
    memory = {"type": "memory_tokens", "tokens": 2, "heads": 1, "head_dim": 4}
    block = {"attn": {**ATTENTION, "qk_norm": "rms"}, "ffn": FFN, "extras": [memory]}
    genome = genome_of(block, block, recurrences=[{"start": 0, "end": 1}])
    found = variants(genome)
    assert set(found) == {"no-memory_tokens", "no-recurrence", "no-qk-norm", "no-block-0", "no-block-1"}
    assert all(each != genome for each in found.values())
    commands.ablate("small", "g0-c00", Path("ablation.yaml"))
    written = load_evolution(Path("ablation.yaml"))
    assert written.seeds[0].model == ledger(copied).birth("g0-c00").read().model and len(written.seeds) == 3


def test_pruning_leaves_what_is_needed(copied: Evolving, capsys: pytest.CaptureFixture[str]) -> None:
    pool = Pool(copied, ledger(copied))
    commands.prune("small", False)
    assert "MB" in capsys.readouterr().out
    left = {path.parent.name for path in SMALL.directory.glob("candidates/*/full")}
    assert {entry.name for entry in (*pool.front(), *pool.survivors())} <= left
    assert not list(SMALL.directory.glob("candidates/*/short"))
    run(copied)  # it is over, and goes on to be


def test_parents_are_chosen_in_each_way(copied: Evolving) -> None:
    import random

    for kind in ("weighted", "pareto_uniform", "lexicase", "map_elites"):
        changed = copied.file.evolution.model_copy(update={"parent_selection": kind})
        file = copied.file.model_copy(update={"evolution": changed})
        pool = Pool(Evolving("small", copied.path, copied.content, file, copied.seeds), ledger(copied))
        names = {chooser(pool)(random.Random(seed)) for seed in range(20)}
        assert names and names <= {born.candidate for born, _ in pool.full()}


def test_random_search_and_scratch_inherit_nothing(project: Path) -> None:
    for name, changes in (("random", {"proposer": "random"}), ("scratch", {"inherit": False})):
        evolving = evolution(project, name, controls={"seeds": []}, repeats=2, **changes)
        run(evolving)
        found = ledger(evolving)
        later = [found.trained(each.candidate, "short") for each in found.born() if each.generation == 1]
        assert all(each is not None and each.inherited == 0 for each in later)
        hows = {each.how for each in found.born() if each.generation == 1}
        assert hows == ({"random"} if name == "random" else hows) and hows <= {"random", "mutation", "crossover"}


def test_a_target_that_was_never_reached_is_not_a_number(copied: Evolving) -> None:
    scores = ledger(copied).trained("g0-c00", "full").scores  # type: ignore[union-attr]
    assert scores is not None
    assert value_of("tokens_to_target", scores, None, 0.0) == float("inf")
    assert value_of("time_to_target", scores, None, 0.0) == float("inf")


def test_descent_is_written_beside_the_weights(copied: Evolving) -> None:
    from lamarck.config.founder import EvolvedFounder
    from lamarck.founder.evolved import copy_evolved

    candidate = next(each for each in ledger(copied).born() if each.generation == 1).candidate
    if ledger(copied).trained(candidate, "full") is None:
        candidate = "g0-c00"
    founder = EvolvedFounder(kind="evolved", evolution="small", candidate=candidate)
    assert Path(founder.path) == SMALL.model(candidate, "full")
    Path("founder").mkdir()
    said = copy_evolved(Path(founder.path), Path("founder"))
    assert said["kind"] == "evolved" and said["line"][-1] == candidate and "BSD" in said["license"]
    assert read_json(Path("founder/config.json"))["model_type"] == "lamarck_genome"
    (Path(founder.path) / "model.safetensors").write_bytes(b"other")
    with pytest.raises(LamarckError, match="is not what"):
        copy_evolved(Path(founder.path), Path("second"))
    with pytest.raises(LamarckError, match="name a candidate that was trained to the end"):
        copy_evolved(Path("results/none"), Path("third"))
