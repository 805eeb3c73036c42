"""What an evolution came to, as a page of Markdown: derived from ledger and clock, and written anew at every look."""

from collections.abc import Iterable, Sequence

from lamarck.arch.costs import cost
from lamarck.arch.serving import who_serves
from lamarck.evolve.controls import Difference, differences
from lamarck.evolve.drawing import difference, drawing
from lamarck.evolve.file import Evolving
from lamarck.evolve.ledger import Born, Compared, Ledger
from lamarck.evolve.motifs import motifs
from lamarck.evolve.places import Places
from lamarck.evolve.pool import COUNTS, NEVER, Pool
from lamarck.evolve.selection import Entry
from lamarck.files import write_changed


def write_report(evolving: Evolving, ledger: Ledger, places: Places) -> None:
    write_changed(places.report, report(evolving, ledger))


def report(evolving: Evolving, ledger: Ledger) -> str:
    pool = Pool(evolving, ledger)
    front = sorted(pool.front(), key=lambda entry: (-entry.values[0], entry.name))
    parts = [
        f"# {evolving.name}",
        "",
        evolving.file.description,
        "",
        _summary(evolving, ledger),
        "",
        "## The front",
        "",
        "Nobody is better in one objective and no worse in the others by more than luck; where several cannot be told",
        "apart, the simplest stands for all.",
        "",
        *_table(
            ["candidate", *pool.objectives, "parameters", "how", "inherited"], [_row(pool, each) for each in front]
        ),
        "",
        _luck(pool),
        "",
        "## The controls",
        "",
        *_controls(ledger, front),
        "",
        "## The lines of descent",
        "",
        *(line for each in front for line in _descent(pool, each.name)),
        "## Motifs",
        "",
        *_motifs(pool),
        "",
        "## The archive",
        "",
        *archive_lines(pool),
    ]
    return "\n".join(parts) + "\n"


def _summary(evolving: Evolving, ledger: Ledger) -> str:
    born = ledger.born()
    refused = sum(bool(each.refused) for each in born)
    full = [ledger.trained(each.candidate, "full") for each in born]
    short = [ledger.trained(each.candidate, "short") for each in born]
    died = sum(each is not None and each.scores is None for each in (*short, *full))
    generations = 1 + max((each.generation for each in born), default=-1)
    spent = sum(each.seconds for each in ledger.times.values())
    compared = [each for each in ledger.compared() if each.arm != "repeat"]
    wanted = evolving.file.controls.survivors * len(evolving.file.controls.seeds) * 4
    return (
        f"{generations} of {evolving.file.generations} generations; {len(born)} candidates, {refused} refused, "
        f"{sum(each is not None for each in short)} trained shortly, {sum(each is not None for each in full)} to the "
        f"end, {died} came to nothing. {len(compared)} of at most {wanted} trainings of the controls. "
        f"{spent:.0f} seconds of training."
    )


def _row(pool: Pool, entry: Entry) -> list[str]:
    born = pool.ledger.birth(entry.name)
    trained = pool.ledger.trained(entry.name, "full")
    begun = pool.ledger.trained(entry.name, "short") or trained
    assert trained is not None and begun is not None
    values = pool.values(born, trained)
    parameters = f"{cost(born.read(), 1).parameters:,}"
    return [entry.name, *map(_number, values.values()), parameters, born.how, f"{begun.inherited:.0%}"]


def _luck(pool: Pool) -> str:
    said = ", ".join(f"{name} {_number(each)}" for name, each in zip(pool.objectives, pool.tolerance, strict=True))
    return f"Luck, two standard deviations of a difference between trainings of the first seed: {said}."


def _controls(ledger: Ledger, front: Sequence[Entry]) -> list[str]:
    rows = [each for each in ledger.compared() if each.arm != "repeat"]
    if not rows:
        return ["None yet: until there are, nothing here is evidence for any architecture."]
    lines = [
        "`line`: the survivor's line of descent trained anew, weights handed down. `scratch`: the survivor from",
        "nothing at the tokens of one candidate; `scratch at equal compute`: with as many FLOPs as its whole line;",
        "`llama`: a plain Llama of as many parameters, at as many tokens as its whole line. Seeds that chose nothing.",
        "",
    ]
    for name in dict.fromkeys(each.candidate for each in rows):
        own = [each for each in rows if each.candidate == name]
        lines += _table(["arm", "seeds", "bits a byte", "parameters", "tokens", "FLOPs"], _arms(own))
        lines += ["", *(f"- {_sentence(name, each)}" for each in differences(own, name)), ""]
    return lines


def _arms(rows: Sequence[Compared]) -> list[list[str]]:
    found = []
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        scored = [row.scores.bits_per_byte for row in own if row.scores is not None]
        mean = f"{sum(scored) / len(scored):.4f}" if scored else own[0].stopped
        first = own[0]
        found.append([arm, str(len(scored)), mean, f"{first.parameters:,}", f"{first.tokens:,}", f"{first.flops:.2e}"])
    return found


def _sentence(name: str, found: Difference) -> str:
    interval = "" if found.low is None else f", 95% interval {found.low:+.4f} to {found.high:+.4f}"
    pairs = f"{len(found.values)} pair{'s' if len(found.values) > 1 else ''}"
    return f"{name}'s line to `{found.arm}`: {found.mean:+.4f} bits a byte over {pairs}{interval}: {found.verdict}."


def _descent(pool: Pool, name: str) -> Iterable[str]:
    yield f"### {name}"
    yield ""
    for born in pool.ancestors(name):
        trained = pool.ledger.trained(born.candidate, "full")
        score = f"{trained.scores.bits_per_byte:.4f} bits a byte" if trained and trained.scores else "not trained"
        came = f"{born.how} of {' x '.join(born.parents) or 'nobody'}"
        yield f"- **{born.candidate}** {came}: {score}. {_carried(pool, born)}"
        if born.parents:
            yield ""
            yield "  ```diff"
            yield from (f"  {line}" for line in difference(pool.ledger.birth(born.parents[0]).read(), born.read()))
            yield "  ```"
    genome = pool.ledger.birth(name).read()
    yield ""
    yield "```"
    yield drawing(genome)
    yield "```"
    yield ""
    yield who_serves(genome)
    yield ""


def _carried(pool: Pool, born: Born) -> str:
    begun = pool.ledger.trained(born.candidate, "short")
    said = f"{', '.join(born.operators)}." if born.operators else ""
    if begun is None or begun.loss_before is None or begun.loss_after is None:
        return said
    exact = "exactly" if begun.exact else f"loss {begun.loss_before:.4f} before, {begun.loss_after:.4f} after"
    return f"{said} {begun.inherited:.0%} inherited, {exact}."


def _motifs(pool: Pool) -> list[str]:
    survivors = [pool.ledger.birth(each.name).read() for each in pool.survivors()]
    if not survivors:
        return ["None yet."]
    found = motifs(pool.evolving, survivors[0].model.emb.vocab, survivors)
    rows = [
        [each.name, f"{each.share:.0%}", f"{each.drift:.0%} ({each.low:.0%} to {each.high:.0%})", each.verdict]
        for each in found
    ]
    return [
        f"Shares of the {len(survivors)} survivors, beside neutral drift: the same births, parents drawn blindly.",
        "",
        *_table(["motif", "survivors", "drift (95%)", ""], rows),
    ]


def archive_lines(pool: Pool) -> list[str]:
    """MAP-Elites' archive, whichever way parents are chosen: of every niche the best in bits per byte."""
    rows = [
        [
            entry.name,
            f"{-entry.values[0]:.4f}",
            " ".join(f"{name}:{count}" for name, count in zip(COUNTS, niche, strict=True) if count),
        ]
        for niche, entry in sorted(pool.archive().items(), key=lambda each: -each[1].values[0])
    ]
    return _table(["elite", "bits a byte", "niche"], rows)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _number(value: float) -> str:
    if value == NEVER:
        return "never"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
