"""An evolution, from its approval to its report. After any end the same command goes on: what the ledger tells of is
taken from it, and what is drawn follows from names, so that nothing is done twice and nothing otherwise."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lamarck.arch.genome import Genome
from lamarck.campaign.racing import Observation, RaceRules, Rung, race
from lamarck.errors import LamarckError
from lamarck.evolve.birth import bear, name_of
from lamarck.evolve.controls import plain_llama
from lamarck.evolve.file import Evolving
from lamarck.evolve.laboratory import Laboratory, training_flops
from lamarck.evolve.ledger import Arm, Born, Ledger, RungName, TrainedLine
from lamarck.evolve.novelty import distance
from lamarck.evolve.places import Places
from lamarck.evolve.plan import check_same, make_plan
from lamarck.evolve.pool import Pool
from lamarck.evolve.report import write_report
from lamarck.evolve.selection import lexicase, map_elites, pareto_uniform, weighted
from lamarck.evolve.text import BLOCKS, corpus_of, digest_of
from lamarck.evolve.training import CeilingSpent
from lamarck.files import write_text
from lamarck.gate.allowance import evolving as allowed
from lamarck.gate.approval import Approver
from lamarck.gate.approve import answer_once
from lamarck.gate.evolution import EvolutionPlan, admitted_evolution, asked_of_evolution
from lamarck.gate.planned import plan_digest, plan_text
from lamarck.run_lock import holding

FIRST = name_of(0, 0)
RISK = 0.05

# Shows a plan, and returns the short digest that a human typed.
Ask = Callable[[EvolutionPlan], str]
Say = Callable[[str], None]


@dataclass
class EvolutionRun:
    """A run that is under way in this process."""

    evolving: Evolving
    places: Places
    ledger: Ledger
    laboratory: Laboratory
    say: Say

    @property
    def pool(self) -> Pool:
        return Pool(self.evolving, self.ledger)


def run_evolution(
    evolving: Evolving,
    approver: Callable[[], Approver],
    ask: Ask,
    key: Path | None,
    say: Say,
) -> str:
    """Go on until the evolution is over, or its ceiling is spent. Returns why it ended.

    Errors: LamarckError where nobody approved, the file or its text is not what was approved, a genome is too large,
    every candidate comes to nothing, or the disk is full; Ctrl-C ends it as cleanly as anything else.
    """
    places = Places(evolving.name)
    with holding(places.lock, f"another process is at work on the evolution {evolving.name}"):
        corpus = corpus_of(evolving.file.text, evolving.file.data)
        text = digest_of(evolving.file.text)
        plan = make_plan(evolving, text, corpus.vocab)
        check_same(places, plan)
        asked = asked_of_evolution(plan, evolving.path)
        note = f"evolution {evolving.name}"
        answer_once(asked, plan.approval, plan.approval, lambda: ask(plan), approver, note, key)
        allowance = allowed(admitted_evolution(plan, evolving.path))
        write_text(places.file, evolving.content.decode("utf-8"))
        write_text(places.plan, plan_text(plan))
        ledger = Ledger(places)
        laboratory = Laboratory(evolving, places, allowance, plan_digest(plan), text, corpus, ledger)
        run = EvolutionRun(evolving, places, ledger, laboratory, say)
        try:
            _evolve(run)
            why = f"all {evolving.file.generations} generations and the controls are done"
        except CeilingSpent as error:
            why = str(error)
        write_report(evolving, run.ledger, places)
        return why


def _evolve(run: EvolutionRun) -> None:
    file = run.evolving.file
    for generation in range(file.generations):
        size = max(len(file.seeds), file.evolution.population) if generation == 0 else file.evolution.population
        born = [_born(run, generation, place) for place in range(size)]
        alive = [each for each in born if not each.refused]
        short = [_trained(run, each, "short") for each in alive]
        _check_any_lives(run, generation, short)
        for candidate in promoted(run, short):
            _trained(run, run.ledger.birth(candidate), "full")
        if generation == 0:
            _repeat_first(run)
    _compare(run)


def _born(run: EvolutionRun, generation: int, place: int) -> Born:
    name = name_of(generation, place)
    if f"born {name}" in run.ledger.lines:
        return run.ledger.birth(name)
    known = {each.candidate: each.read() for each in run.ledger.born()}
    twins = {each.digest for each in run.ledger.born() if not each.refused}
    vocab = run.laboratory.corpus.vocab
    birth = bear(run.evolving, generation, place, known, twins, chooser(run.pool) if generation else None, vocab)
    reference = known[birth.parents[0]] if birth.parents else known.get(FIRST, birth.genome)
    born = Born(
        candidate=name,
        generation=generation,
        attempt=birth.attempt,
        how=birth.how,
        genome=birth.genome.model_dump(mode="json", exclude_defaults=True),
        digest=birth.genome.digest(),
        parents=birth.parents,
        operators=tuple(step.operator for step in birth.steps),
        novelty=round(distance(reference, birth.genome), 9),
        refused=birth.refused,
    )
    run.ledger.add(born)
    came = f"{' x '.join(born.parents) or 'nobody'}{': ' if born.operators else ''}{', '.join(born.operators)}"
    run.say(f"{name}: {born.how} of {came}" + (f": refused, {born.refused}" if born.refused else ""))
    return born


def chooser(pool: Pool) -> Callable[[random.Random], str]:
    """How a parent is chosen, from those that survive so far, or from the archive."""
    entries, tolerance = pool.survivors(), pool.tolerance
    kind = pool.evolving.file.evolution.parent_selection
    if kind == "weighted":
        return lambda rng: weighted(entries, pool.weights, rng).name
    if kind == "pareto_uniform":
        return lambda rng: pareto_uniform(entries, tolerance, rng).name
    if kind == "lexicase":
        return lambda rng: lexicase(entries, tolerance, rng).name
    archive = pool.archive()
    return lambda rng: map_elites(archive, rng).name


def _trained(run: EvolutionRun, born: Born, rung: RungName) -> TrainedLine:
    known = run.ledger.trained(born.candidate, rung)
    if known is not None:
        return known
    before = run.ledger.trained(born.candidate, "short") if rung == "full" else None
    line, timed = run.laboratory.rung(born, run.pool.ancestors(born.candidate), rung, before)
    run.ledger.add(line, timed)
    shown = f"{line.scores.bits_per_byte:.4f} bits a byte" if line.scores else line.stopped
    run.say(f"{born.candidate}, {rung}: {shown} ({timed.seconds:.1f} s)")
    return line


def _check_any_lives(run: EvolutionRun, generation: int, short: list[TrainedLine]) -> None:
    """Errors: LamarckError where nothing is left to go on with."""
    if any(each.scores is not None for each in short):
        return
    why = short[0].stopped if short else "none fits the limits"
    raise LamarckError(
        f"every candidate of generation {generation} came to nothing ({why}): set a lower train.lr in the seeds, or "
        "wider limits, and run it under another name"
    )


def promoted(run: EvolutionRun, short: list[TrainedLine]) -> list[str]:
    """Who is trained to the end: those ahead in a race over the held-out blocks against the first seed, paired block by
    block. The first seed itself always is: all others are measured by it. Where it came to nothing there is no race,
    and the best of the others go on."""
    file = run.evolving.file
    live = {each.candidate: each.scores for each in short if each.scores is not None}
    keep = max(1, round(file.evolution.topk_keep * len(live)))
    first = run.ledger.trained(FIRST, "short")
    challengers = tuple(sorted(live.keys() - {FIRST}, key=lambda name: (live[name].bits_per_byte, name)))
    always = [FIRST] if FIRST in live else []
    if first is None or first.scores is None or not challengers:
        return [*always, *challengers[:keep]]
    blocks = tuple(str(place) for place in range(BLOCKS))
    rules = RaceRules(
        incumbent=FIRST,
        challengers=challengers,
        blocks=blocks,
        risk=RISK,
        look_every=BLOCKS,
        rungs=(Rung(blocks=BLOCKS, keep=keep),),
    )
    scores = live | {FIRST: first.scores}
    found = race(
        rules,
        [
            Observation(candidate=name, block=block, score=-value)
            for name, each in scores.items()
            for block, value in zip(blocks, each.blocks, strict=True)
        ],
    )
    return [*always, *[name for name in challengers if name not in found.dropped][:keep]]


def _repeat_first(run: EvolutionRun) -> None:
    born = run.ledger.birth(FIRST)
    if born.refused:
        return
    for number in range(run.evolving.file.repeats):
        _beside(run, "repeat", born, born.read(), run.evolving.file.evolution.rung2_tokens, number)


def _beside(run: EvolutionRun, arm: Arm, born: Born, genome: Genome, tokens: int, seed: int) -> None:
    if f"{arm} {born.candidate} {seed}" in run.ledger.lines:
        return
    line, timed = run.laboratory.beside(arm, born, genome, tokens, seed)
    run.ledger.add(line, timed)
    shown = f"{line.scores.bits_per_byte:.4f} bits a byte" if line.scores else line.stopped
    run.say(f"{born.candidate}, {arm}, seed {seed}: {shown} ({timed.seconds:.1f} s)")


def _compare(run: EvolutionRun) -> None:
    """The controls, on seeds that chose nothing."""
    file = run.evolving.file
    order = sorted(run.pool.front(), key=lambda entry: (-entry.values[0], entry.name))
    for entry in order[: file.controls.survivors]:
        ancestors = run.pool.ancestors(entry.name)
        born = ancestors[-1]
        tokens = file.evolution.rung2_tokens
        for seed in file.controls.seeds:
            key = f"line {born.candidate} {seed}"
            if key not in run.ledger.lines:
                run.ledger.add(*run.laboratory.line(born, ancestors, seed))
                run.say(f"{born.candidate}, its line of {len(ancestors)} anew, seed {seed}: done")
            genome = born.read()
            whole = sum(training_flops(each.read(), tokens) for each in ancestors)
            equal = round(tokens * whole / training_flops(genome, tokens))
            _beside(run, "scratch", born, genome, tokens, seed)
            _beside(run, "scratch at equal compute", born, genome, equal, seed)
            _beside(run, "llama", born, plain_llama(genome), tokens * len(ancestors), seed)
