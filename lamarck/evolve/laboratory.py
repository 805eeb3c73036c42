"""Where candidates are built, trained and measured: the one part of an evolution that computes with models."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lamarck.arch.breed import Descent, crossing, mutant
from lamarck.arch.costs import cost
from lamarck.arch.genome import Genome, save_genome
from lamarck.arch.model import GenomeForCausalLM, build_model
from lamarck.errors import LamarckError
from lamarck.evolve.birth import dice, mutated
from lamarck.evolve.file import Evolving
from lamarck.evolve.ledger import Arm, Born, Compared, Ledger, RungName, Timed, TrainedLine
from lamarck.evolve.measure import LOOKED_AT, LOOKS, bits_per_byte, measure, throughput
from lamarck.evolve.places import Places
from lamarck.evolve.text import Corpus, licence_of
from lamarck.evolve.training import Schedule, Trained, read_moments, tokens_of, train, write_moments
from lamarck.files import atomic_directory, digest_directory, digest_file
from lamarck.founder.evolved import MODEL, Descended, write_descent
from lamarck.gate.allowance import Allowance
from lamarck.models.device import device_of
from lamarck.models.opening import open_genome_model
from lamarck.seeds import seed_for

BACKWARD = 3  # times the FLOPs of a forward pass: what a step of training takes


@dataclass
class Laboratory:
    evolving: Evolving
    places: Places
    allowance: Allowance
    plan: str  # digest of what was approved
    text: str  # digest of what is read
    corpus: Corpus
    ledger: Ledger
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        file = self.evolving.file
        torch.set_num_threads(file.threads)
        self.device = device_of(file.machine)

    def rung(
        self, born: Born, line: Sequence[Born], name: RungName, before: TrainedLine | None
    ) -> tuple[TrainedLine, Timed]:
        """Train a candidate up to the end of a rung, from its birth or from `before`, its short rung, and measure it.

        `line`: its ancestors in the order of their births, itself the last.
        Errors: CeilingSpent; LamarckError where weights are missing, or not what the ledger says, or cannot be written.
        """
        genome, file = born.read(), self.evolving.file
        save_genome(genome, self.places.genome(born.candidate))
        moments: dict[str, torch.Tensor] = {}
        descent: Descent | None = None
        if before is None:
            model, descent = self._begin(born, line)
        else:
            directory = self._checked(born.candidate, "short", before.weights)
            model, moments = open_genome_model(directory, genome), read_moments(directory)
        total = file.evolution.rung2_tokens
        until = file.evolution.rung1_tokens if name == "short" else total
        seed = seed_for(file.seed, f"generation {born.generation}")
        begun = before.steps if before is not None else 0
        model.to(self.device)
        seen = self._seen(born.candidate) if before is not None else None
        outcome, reached = self._train(model, Schedule(total, until, tokens_of(genome)), begun, moments, seed, seen)
        scores = timing = None
        weights = ""
        if outcome.stopped == "tokens":
            scores = measure(model, self.corpus, file, outcome.instability, reached[0], self.device)
            timing = throughput(model, self.corpus.batch(0, 0), self.device)
            inherited = descent.inherited if descent else before.inherited if before else 0.0
            weights = self._keep(model, born, line, name, outcome, inherited)
        trained = TrainedLine(
            candidate=born.candidate,
            rung=name,
            steps=outcome.steps,
            tokens=outcome.steps * tokens_of(genome),
            stopped=outcome.stopped,
            weights=weights,
            exact=descent is not None and descent.exact,
            inherited=descent.inherited if descent else 0.0,
            loss_before=descent.loss_before if descent else None,
            loss_after=descent.loss_after if descent else None,
            scores=scores,
        )
        return trained, _timed(f"{name} {born.candidate}", outcome, timing, reached[1])

    def beside(self, arm: Arm, born: Born, genome: Genome, tokens: int, seed: int) -> tuple[Compared, Timed]:
        """Train a genome from nothing, of which only the scores are kept. Errors: as `rung`."""
        model = build_model(genome, seed_for(seed, "weights")).to(self.device)
        outcome = self._one(model, genome, tokens, seed_for(seed, arm))
        flops = training_flops(genome, tokens)
        return self._compared(arm, born.candidate, seed, model, outcome, tokens, flops)

    def line(self, last: Born, ancestors: Sequence[Born], seed: int) -> tuple[Compared, Timed]:
        """A candidate's line of descent trained anew, weights handed down, every ancestor as long as it was.

        `ancestors`: in the order of their births, the candidate itself the last. Errors: as `rung`.
        """
        tokens = self.evolving.file.evolution.rung2_tokens
        models: dict[str, GenomeForCausalLM] = {}
        flops, read, seconds = 0.0, 0, 0.0
        outcome = Trained()
        for born in ancestors:
            genome = born.read()
            model, _ = self._begin(born, [each for each in ancestors if each.candidate in born.parents], models, seed)
            model.to(self.device)
            outcome = self._one(model, genome, tokens, seed_for(seed, f"generation {born.generation}"))
            flops += training_flops(genome, tokens)
            read, seconds = read + tokens, seconds + outcome.seconds
            models[born.candidate] = model
            if outcome.stopped != "tokens":
                break
        outcome.seconds = seconds
        return self._compared("line", last.candidate, seed, models[born.candidate], outcome, read, flops)

    def _seen(self, candidate: str) -> tuple[int, float] | None:
        """After how many tokens and seconds its short training had reached the target."""
        trained, timed = self.ledger.trained(candidate, "short"), self.ledger.times.get(f"short {candidate}")
        tokens = trained.scores.tokens_to_target if trained is not None and trained.scores is not None else None
        if tokens is None or timed is None or timed.time_to_target is None:
            return None
        return tokens, timed.time_to_target

    def _one(self, model: GenomeForCausalLM, genome: Genome, tokens: int, seed: int) -> Trained:
        return self._train(model, Schedule(tokens, tokens, tokens_of(genome)), 0, {}, seed)[0]

    def _compared(
        self,
        arm: Arm,
        candidate: str,
        seed: int,
        model: GenomeForCausalLM,
        outcome: Trained,
        tokens: int,
        flops: float,
    ) -> tuple[Compared, Timed]:
        scores = timing = None
        if outcome.stopped == "tokens":
            scores = measure(model, self.corpus, self.evolving.file, outcome.instability, None, self.device)
            timing = throughput(model, self.corpus.batch(0, 0), self.device)
        parameters = sum(each.numel() for each in model.parameters())
        line = Compared(
            arm=arm,
            candidate=candidate,
            seed=seed,
            tokens=tokens,
            flops=flops,
            parameters=parameters,
            stopped=outcome.stopped,
            scores=scores,
        )
        return line, _timed(f"{arm} {candidate} {seed}", outcome, timing, None)

    def _train(
        self,
        model: GenomeForCausalLM,
        schedule: Schedule,
        begun: int,
        moments: dict[str, torch.Tensor],
        seed: int,
        seen: tuple[int, float] | None = None,
    ) -> tuple[Trained, tuple[int | None, float | None]]:
        """The outcome, and after how many tokens and seconds the target was reached: `seen` before, or now.

        Seconds are those of this training alone, which may be the end of a longer one.
        """
        file = self.evolving.file
        reached = [] if seen is None else [seen]
        every = max(1, schedule.all_steps // LOOKS)

        def look(step: int, seconds: float) -> None:
            if file.target is None or reached or step % every:
                return
            model.eval()
            found = bits_per_byte(model, self.corpus.blocks[:LOOKED_AT], self.device)
            model.train()
            if sum(found) / len(found) <= file.target:
                reached.append((step * schedule.batch_tokens, seconds))

        outcome = train(model, self.corpus, file.probes, schedule, begun, moments, seed, self.allowance, look)
        return outcome, reached[0] if reached else (None, None)

    def _begin(
        self,
        born: Born,
        parents: Sequence[Born],
        models: dict[str, GenomeForCausalLM] | None = None,
        luck: int | None = None,
    ) -> tuple[GenomeForCausalLM, Descent | None]:
        """A candidate as it is born, and how it descends, where it inherits. `models`: the parents', where they were
        trained anew; `luck`: what is drawn follows from it then."""
        genome, file = born.read(), self.evolving.file
        seed = seed_for(file.seed if luck is None else luck, born.candidate, "weights")
        if born.how in ("seed", "random") or born.generation == 0 or not file.inherit:
            return build_model(genome, seed), None
        named = {each.candidate: each for each in parents}
        trained = [
            (models or {}).get(name) or open_genome_model(self._finished(name), named[name].read())
            for name in born.parents
        ]
        trained = [each.cpu() for each in trained]
        probe = self.corpus.blocks[0].ids
        if born.how == "crossover":
            rng = dice(self.evolving, born.candidate, born.attempt, "cut")
            child = crossing(trained[0], trained[1], rng, probe, seed)
        else:
            steps = mutated(self.evolving, born.candidate, born.attempt, trained[0].genome)
            child = mutant(trained[0], steps, probe, seed)
        if child.model.genome.model != genome.model:
            raise LamarckError(
                f"{born.candidate} was born of other parents than {self.places.ledger} says: restore it, or begin anew "
                "under another name"
            )
        return child.model, child.descent

    def _finished(self, candidate: str) -> Path:
        trained = self.ledger.trained(candidate, "full")
        return self._checked(candidate, "full", trained.weights if trained is not None else "")

    def _checked(self, candidate: str, rung: RungName, digest: str) -> Path:
        directory = self.places.model(candidate, rung)
        if not directory.is_dir() or digest_directory(directory) != digest:
            raise LamarckError(
                f"{directory} is {'not what the ledger says' if directory.is_dir() else 'missing'}: restore it, or "
                "begin anew under another name"
            )
        return directory

    def _keep(
        self,
        model: GenomeForCausalLM,
        born: Born,
        line: Sequence[Born],
        rung: RungName,
        outcome: Trained,
        inherited: float,
    ) -> str:
        """Write the model directory, with what a full training goes on from, or what a founder must say; the digest."""
        place = self.places.model(born.candidate, rung)
        with atomic_directory(place) as directory:
            model.save_pretrained(directory)
            self.corpus.tokenizer().save_pretrained(directory)
            if rung == "short":
                write_moments(directory, outcome.moments)
            else:
                write_descent(directory, self._descended(born, line, outcome, inherited, directory))
        return digest_directory(place)

    def _descended(
        self, born: Born, line: Sequence[Born], outcome: Trained, inherited: float, directory: Path
    ) -> Descended:
        return Descended(
            evolution=self.evolving.name,
            plan=self.plan,
            candidate=born.candidate,
            line=tuple(each.candidate for each in line),
            operators=born.operators,
            inherited=inherited,
            tokens=outcome.steps * tokens_of(born.read()),
            genome=born.digest,
            text=self.text,
            license=licence_of(self.evolving.file.text),
            weights=digest_file(directory / MODEL),
        )


def training_flops(genome: Genome, tokens: int) -> float:
    """Of learning from so many tokens, in rows as long as the genome's."""
    return BACKWARD * cost(genome, genome.data.seq_len).flops / genome.data.seq_len * tokens


def _timed(key: str, outcome: Trained, reading: float | None, to_target: float | None) -> Timed:
    return Timed(
        key=key,
        seconds=round(outcome.seconds, 3),
        throughput=round(reading or 0.0, 1),
        time_to_target=None if to_target is None else round(to_target, 3),
    )
