"""What a human reads before saying yes: one screen per plan. Text of models is shown as text, never interpreted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lamarck import output
from lamarck.budget.estimate import duration
from lamarck.config import HERE
from lamarck.config.strategy import load_strategy
from lamarck.curriculum.item import Item, parse_curriculum
from lamarck.curriculum.refused import read_refused, reasons, refused_path
from lamarck.files import digest_bytes, read_regular
from lamarck.gate.curriculum_tables import cells_table, guard_rails_table
from lamarck.gate.plan import (
    AnyChildsPlan,
    CrossPlan,
    Optimizer,
    Plan,
    PlannedMachine,
    PlannedRecipe,
    PlannedStep,
    read_childs_plan,
)
from lamarck.gate.planned import plan_digest
from lamarck.gate.standing import go_on_with
from lamarck.lineage.contents import Card, read_card, read_scores
from lamarck.lineage.digest import short
from lamarck.lineage.generation import Generation
from lamarck.visible import visible

SHOWN_ITEMS = 5
SHOWN_REASONS = 5
PRIMER = "In short: a primer, drawn from generators. What it teaches becomes part of g0, the same for both arms."
CROSS = "In short: a child of two parents. It has no curriculum and is not trained: its adapter is made of theirs."
LONGEST_TEXT = 100
LONGEST_LINE = 500


def review_json(generation: Generation) -> dict[str, Any]:
    """The plan, with `digest` and `short`: what a machine needs to show it elsewhere, or a human to approve it."""
    plan = read_childs_plan(generation.plan)
    digest = plan_digest(plan)
    return plan.model_dump(mode="json") | {"digest": digest, "short": short(digest)}


def show(generation: Generation, console: Console | None = None) -> AnyChildsPlan:
    """Print the review, and return the plan that it shows. Each file is read once: what is shown is what is hashed.

    Errors: LamarckError when the plan or the curriculum is missing or broken.
    """
    console = console or output.console()
    plan = read_childs_plan(generation.plan)
    if isinstance(plan, CrossPlan):
        console.rule(Text(f"Should {plan.generation} exist?"))
        console.print(_run(plan))
        console.print(Text(CROSS, style="bold"))
        console.print(Text(_how_to_answer(plan)))
        return plan
    card = read_card(generation.card)
    content = read_regular(generation.curriculum)
    items = list(parse_curriculum(content, generation.curriculum))
    console.rule(Text(f"Should {plan.generation} exist?"))
    console.print(_run(plan))
    if digest_bytes(content) != plan.curriculum.digest:
        again = go_on_with(generation, generation.plan)
        console.print(Text(f"The curriculum changed since: {again} makes a new plan.", style="bold red"))
    console.print(Text(_origin(card)))
    if edit := card.record.human_edited:
        console.print(Text(f"{edit.sentence()} {card.parent} wrote {short(edit.written)}.", style="bold"))
    earlier = _earlier_cards(generation)
    for line in left_out(generation, card.dropped):
        console.print(Text(line))
    console.print(Text(_in_short(card, earlier) if generation.number else PRIMER, style="bold"))
    # A primer's items come from generators: nothing is compared with them.
    limits = load_strategy(Path(plan.strategy.path)).limits if generation.number else {}
    tables = [cells_table(card, earlier[-1] if earlier else None), guard_rails_table(card, earlier, limits)]
    console.print(Columns(tables, padding=(1, 4)))
    for warning in card.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    shown = items[:: max(1, len(items) // SHOWN_ITEMS)][:SHOWN_ITEMS]
    console.print(Text(f"\n{len(shown)} of {len(items)} items, evenly spread:", style="bold"))
    for item in shown:
        console.print(Text(_line(item)))
    console.print(Text(_how_to_answer(plan)))
    return plan


def _run(plan: AnyChildsPlan) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in run_rows(plan):
        table.add_row(name, Text(visible(value, LONGEST_LINE)))
    return table


def run_lines(plan: AnyChildsPlan) -> list[str]:
    """The same as lines of text."""
    return [f"{name:<12} {visible(value, LONGEST_LINE)}" for name, value in run_rows(plan)]


def run_rows(plan: AnyChildsPlan) -> list[tuple[str, str]]:
    """What would run, as (name, sentence): on a terminal and on the page the same."""
    if isinstance(plan, CrossPlan):
        return _cross_rows(plan)
    recipe, cost = plan.recipe.settings, plan.cost
    quantised = "not quantised" if recipe["quantize"] == "none" else f"quantised to {recipe['quantize'].upper()}"
    rows = [
        ("parent", f"{plan.parent.generation} ({short(plan.parent.digest)}){_score_of(plan.parent.generation)}"),
        ("curriculum", f"{plan.curriculum.items:,} items ({short(plan.curriculum.digest)}), by {plan.strategy.path}"),
        (
            "training",
            f"{_trained(recipe)}, {cost.steps} steps of {recipe['batch_size']}{_passes(recipe)}, "
            f"rate {recipe['learning_rate']:g}, parent {quantised}",
        ),
        ("cost", f"about {cost.flops:.2g} FLOPs, {cost.parameters:,} parameters read"),
        *([("optimizer", _optimizer(cost.optimizer))] if cost.optimizer else []),
        ("machine", _machine(cost.machine)),
        ("ceiling", _ceiling(plan)),
        ("then", _ceilings_then(plan)),
        *([("in all", most)] if (most := _in_all(plan)) else []),
        ("scored by", f"{plan.suite.name} ({short(plan.suite.digest)})"),
    ]
    if plan.control:
        control = plan.control
        rows.append(
            (
                "control arm",
                f"{control.parent.generation} -> control/{plan.generation}: {control.curriculum.items:,} items",
            )
        )
    return rows


def _passes(recipe: Mapping[str, Any]) -> str:
    return f" ({recipe['epochs']:g} times over the curriculum)" if "epochs" in recipe else ""


def _cross_rows(plan: CrossPlan) -> list[tuple[str, str]]:
    parents = [f"{each.generation} ({short(each.digest)}){_score_of(each.generation)}" for each in plan.parents]
    rows = [
        ("parents", " and ".join(parents)),
        ("crossing", _crossed(plan.crossing)),
        ("ceiling", f"{_seconds(plan.budget.device_seconds)}, the lesser of its parents'"),
        ("then", _ceilings_then(plan)),
        ("scored by", f"{plan.suite.name} ({short(plan.suite.digest)})"),
    ]
    return [*rows, ("control arm", f"control/{plan.generation}: {_crossed(plan.control)}")] if plan.control else rows


def _crossed(part: PlannedRecipe) -> str:
    settings = part.settings
    weights = " and ".join(f"{weight:g}" for weight in settings["weights"])
    rank = "of summed rank" if settings["rank"] is None else f"cut to rank {settings['rank']}"
    own = "".join(f", {name} {value:g}" for name, value in sorted(settings["parameters"].items()))
    return f"{settings['method']}, weights {weights}{own}, {rank}"


def _trained(recipe: dict[str, Any]) -> str:
    form = recipe.get("form", "adapter")
    which = "query projections alone" if recipe.get("trained") == "queries" else "all weights"
    what = f"LoRA r{recipe['rank']}" if form == "adapter" else f"{which}, kept as {form}"
    return f"{recipe['inherit']} {what}"


def _optimizer(optimizer: Optimizer) -> str:
    if optimizer.state_bytes is None:
        return f"{optimizer.kind}; its state is not estimated for this architecture"
    clipped = f"; the rank is the shorter side's in {optimizer.clipped} matrices" if optimizer.clipped else ""
    return f"{optimizer.kind}, {optimizer.state_bytes / 1e6:,.3g} MB of state{clipped}"


def _machine(machine: PlannedMachine) -> str:
    """Where it is trained, both arms together; what `lamarck plan` says before there is a curriculum is the most."""
    place = f"{machine.count} x {machine.gpu}"
    if machine.gpu == HERE:
        place = "this machine" if machine.count == 1 else f"{machine.count} processes on this machine"
    if machine.device_hours is None or machine.memory_gib is None:
        return f"{place}; memory and hours are not estimated for this architecture"
    price = f", ${machine.dollars:.2f}" if machine.dollars else ""
    each, together = (" each", " of all together") if machine.count > 1 else ("", "")
    return f"{place}: about {machine.memory_gib:.3g} GiB{each}, {duration(machine.device_hours)}{together}{price}"


def _ceiling(plan: Plan) -> str:
    parent = plan.budget.parent_device_seconds
    beside = "the first of this lineage" if parent is None else f"its parent's was {parent:g}"
    rented = "" if plan.budget.dollars is None else f"; ${plan.budget.dollars:,.2f} for the run, where it is rented"
    return f"{plan.budget.device_seconds:g} device-seconds of training; {beside}{rented}"


def _ceilings_then(plan: AnyChildsPlan) -> str:
    """Of what the child does once it is trained."""
    then = plan.cost.then if isinstance(plan, Plan) else None
    evaluating, writing = (then.evaluating, then.writing) if then else (None, None)
    return (
        f"to be evaluated {_seconds(plan.budget.evaluating_seconds)}{_next(evaluating)}; "
        f"to write the next curriculum {_seconds(plan.budget.writing_seconds)}{_next(writing)}"
    )


def _next(step: PlannedStep | None) -> str:
    if step is None or step.gpu == HERE:
        return ""
    price = "" if step.dollars is None else f", at most ${step.dollars:,.2f}"
    return f" ({step.count} x {step.gpu}{price})"


def _in_all(plan: Plan) -> str:
    """What the ceilings allow in dollars, both arms; empty where nothing has a price."""
    machine, then, budget = plan.cost.machine, plan.cost.then, plan.budget
    per_hour = 0.0 if machine.gpu == HERE else machine.dollars_per_hour
    arms = 2 if plan.control else 1
    training = None if per_hour is None else arms * budget.device_seconds / 3600 * per_hour
    parts = {
        "training": budget.dollars if training is None else min(training, budget.dollars or training),
        "evaluating": then.evaluating.dollars if then else 0.0,
        "writing": then.writing.dollars if then else 0.0,
    }
    priced = {name: dollars for name, dollars in parts.items() if dollars}
    if not priced:
        return ""
    without = [name for name, dollars in parts.items() if dollars is None]
    said = f"at most ${sum(priced.values()):,.2f} by these ceilings, without a pod's start and disk"
    return f"{said}; {' and '.join(without)} can cost more: there is no ceiling, or no price" if without else said


def _seconds(most: float | None) -> str:
    return "no ceiling" if most is None else f"{most:g} device-seconds"


def _score_of(name: str) -> str:
    """The parent's score, where it has been measured."""
    number = int(name.rsplit("g", 1)[1])
    scores = Generation(number, name.rsplit("g", 1)[0]).scores
    if not scores.exists():
        return ""
    found = read_scores(scores).score
    return ", partially evaluated" if found is None else f", score {found:.1f}"


def left_out(generation: Generation, dropped: Mapping[str, int]) -> list[str]:
    """The most frequent reasons for which texts were left out, with what was wrong with one of each.

    None where the file with the texts is not here: it is no artifact, and goes nowhere.
    """
    if not refused_path(generation.curriculum).exists():
        return []
    found = {reason.name: reason for reason in reasons(read_refused(generation))}
    counted = sorted(dropped.items(), key=lambda pair: -pair[1])
    lines = [
        f"  {count:,} {name}, as {row.skill} {row.difficulty}: {visible(row.why or row.text, LONGEST_TEXT)}"
        for name, count in counted
        if name in found and (row := found[name].examples[0])
    ]
    more = f"  `lamarck curriculum why {generation.name}` shows the texts."
    return [*lines[:SHOWN_REASONS], more] if lines else []


def _origin(card: Card) -> str:
    dropped = ", ".join(f"{count} {reason}" for reason, count in card.dropped.items())
    others = ((card.replayed, "replayed from earlier generations"), (card.anchors, "of the founder's own data"))
    mixed_in = "".join(f", {count} {what}" for count, what in others if count)
    when = (
        f"for {card.record.written_for}, where its seconds are counted"
        if card.record.written_for
        else f"in {card.record.device_seconds:.0f} s"
    )
    return (
        f"\n{card.parent} wrote {card.sampled} texts and {card.answered} further answers {when}: "
        f"{card.kept} problems kept{mixed_in}; {card.to_write} of all these are also learned as they were written. "
        f"Left out: {dropped or 'nothing'}."
    )


def _earlier_cards(generation: Generation) -> list[Card]:
    """The cards of the curricula before this one in the same lineage, the founder's own first."""
    earlier = generation.line[1:-1]
    return [read_card(past.card) for past in earlier if past.card.exists()]


def _in_short(card: Card, earlier: list[Card]) -> str:
    """The sentence on which most reviews end: how much of it holds, and whether it is as varied as it began."""
    now = card.measures
    sentence = f"In short: one item kept of {1 / card.acceptance:.1f} sampled"
    if not earlier:
        return f"{sentence}; this is the founder's own curriculum, with which the later ones will be compared."
    first = earlier[0].measures
    variety = f"{100 * now['vendi'] / first['vendi']:.0f}% as varied as {earlier[0].parent}'s own"
    return (
        f"{sentence} ({1 / earlier[0].acceptance:.1f} at first); {variety}, {100 * now['novelty']:.0f}% of its "
        f"problems are new, {100 * now['overlap']:.1f}% overlap with a suite."
    )


def _line(item: Item) -> str:
    """One item, each half cut by itself: a long problem must not hide what the child is taught to answer."""
    context = f"{visible(item.context, LONGEST_TEXT)} " if item.context else ""
    return f"  {context}{visible(item.prompt, LONGEST_TEXT)} {visible(item.completion, LONGEST_TEXT)}"


def _how_to_answer(plan: AnyChildsPlan) -> str:
    digest = short(plan_digest(plan))
    # A primer's items come from its file: another file is another primer.
    edit = (
        f"To drop or change items first: lamarck review {plan.generation} --edit\n"
        if isinstance(plan, Plan) and plan.generation != plan.parent.generation
        else ""
    )
    return (
        f"\nThe plan is {digest}. To allow exactly this run:\n"
        f"  lamarck approve {plan.generation}\n"
        f'  lamarck approve {plan.generation} --by "YOUR NAME" --digest {digest}\n'
        f"{edit}"
    )
