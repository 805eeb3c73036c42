"""What a human reads before saying yes: one screen per plan. Text of models is shown as text, never interpreted."""

import math
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lamarck.curriculum.item import Item, read_curriculum
from lamarck.files import read_json
from lamarck.gate.plan import Plan, plan_digest, read_plan, short
from lamarck.lineage import Generation

SHOWN_ITEMS = 6
LONGEST_TEXT = 100


def review_json(generation: Generation) -> dict[str, Any]:
    """The plan, with `digest` and `short`: what a machine needs to show it elsewhere, or a human to approve it."""
    plan = read_plan(generation.plan)
    digest = plan_digest(plan)
    return plan.model_dump(mode="json") | {"digest": digest, "short": short(digest)}


def show(generation: Generation, console: Console | None = None) -> None:
    """Print the review. Errors: LamarckError when the plan or the curriculum is missing or broken."""
    console = console or Console()
    plan = read_plan(generation.plan)
    card = read_json(generation.card)
    items = list(read_curriculum(generation.curriculum))
    console.rule(Text(f"Should {plan.generation} exist?"))
    console.print(_run(plan))
    console.print(Text(_origin(card)))
    console.print(_cells(card, _card(generation, generation.number - 1)))
    console.print(_measures(card, _card(generation, 1), _card(generation, generation.number - 1)))
    for warning in card["warnings"]:
        console.print(Text(f"warning: {warning}", style="yellow"))
    shown = items[:: max(1, len(items) // SHOWN_ITEMS)][:SHOWN_ITEMS]
    console.print(Text(f"\n{len(shown)} of {len(items)} items, evenly spread:", style="bold"))
    for item in shown:
        console.print(Text(_line(item)))
    console.print(Text(_how_to_answer(plan)))


def _run(plan: Plan) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in run_rows(plan):
        table.add_row(name, Text(value))
    return table


def run_rows(plan: Plan) -> list[tuple[str, str]]:
    """What would run, as (name, sentence): on a terminal and on the page the same."""
    recipe, cost = plan.recipe.settings, plan.cost
    rows = [
        ("parent", f"{plan.parent.generation} ({short(plan.parent.digest)}){_score_of(plan.parent.generation)}"),
        ("curriculum", f"{plan.curriculum.items} items ({short(plan.curriculum.digest)}), by {plan.strategy.path}"),
        (
            "training",
            f"{recipe['inherit']} LoRA r{recipe['rank']}, {cost.steps} steps of {recipe['batch_size']}, "
            f"rate {recipe['learning_rate']:g}, {recipe['quantize']} quantisation",
        ),
        ("cost", f"about {cost.flops:.2g} FLOPs, {cost.parameters:,} parameters read"),
        ("ceiling", _ceiling(plan)),
        ("scored by", f"{plan.suite.name} ({short(plan.suite.digest)})"),
    ]
    if plan.control:
        control = plan.control
        rows.append(
            (
                "control arm",
                f"{control.parent.generation} -> control/{plan.generation}: {control.curriculum.items} items",
            )
        )
    return rows


def _ceiling(plan: Plan) -> str:
    parent = plan.budget.parent_device_seconds
    beside = "the first of this lineage" if parent is None else f"its parent's was {parent:g}"
    return f"{plan.budget.device_seconds:g} device-seconds of training; {beside}"


def _score_of(name: str) -> str:
    """The parent's score, where it has been measured."""
    number = int(name.rsplit("g", 1)[1])
    scores = Generation(number, name.rsplit("g", 1)[0]).scores
    if not scores.exists():
        return ""
    content = read_json(scores)
    return ", partially evaluated" if content["partial"] else f", score {content['score']:.1f}"


def _origin(card: dict[str, Any]) -> str:
    dropped = ", ".join(f"{count} {reason}" for reason, count in card["dropped"].items())
    return (
        f"\n{card['parent']} wrote {card['sampled']} lines in {card['record']['device_seconds']:.0f} s: "
        f"{card['kept']} kept ({100 * card['acceptance']:.0f}%), {card['replayed']} replayed from earlier generations; "
        f"left out: {dropped}."
    )


def _card(generation: Generation, number: int) -> dict[str, Any] | None:
    """The card of an earlier curriculum of the same lineage."""
    earlier = Generation(number, generation.prefix)
    return read_json(earlier.card) if 0 < number < generation.number and earlier.card.exists() else None


def _measures(card: dict[str, Any], first: dict[str, Any] | None, before: dict[str, Any] | None) -> Table:
    """The guard-rails: each measure beside what it was in the founder's own curriculum, and in the one before."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("guard-rail")
    for heading in ("this", "g0's own", "before"):
        table.add_column(heading, justify="right")
    for name, value in card["measures"].items():
        past = ("" if each is None else f"{each['measures'].get(name, math.nan):.4g}" for each in (first, before))
        table.add_row(Text(name), f"{value:.4g}", *past)
    return table


def _cells(card: dict[str, Any], earlier: dict[str, Any] | None) -> Table:
    """Pass rate and kept items by skill and difficulty, beside the pass rate of the curriculum before."""
    before = {(cell["skill"], cell["difficulty"]): cell["pass_rate"] for cell in earlier["cells"]} if earlier else {}
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("skill")
    for heading in ("difficulty", "sampled", "pass rate", "before", "asked", "kept"):
        table.add_column(heading, justify="right")
    for cell in card["cells"]:
        past = before.get((cell["skill"], cell["difficulty"]))
        table.add_row(
            Text(cell["skill"]),
            str(cell["difficulty"]),
            str(cell["sampled"]),
            f"{cell['pass_rate']:.2f}",
            "" if past is None else f"{past:.2f}",
            str(cell["asked"]),
            Text(str(cell["kept"]), style="yellow" if cell["kept"] < cell["asked"] else ""),
        )
    return table


def _line(item: Item) -> str:
    """One item, each half cut by itself: a long problem must not hide what the child is taught to answer."""
    return f"  {_visible(item.prompt)} {_visible(item.completion)}"


def _visible(text: str) -> str:
    """The text of a model as characters on one line: what would steer a terminal is made visible, a long one is cut."""
    characters = [character if character.isprintable() else "\ufffd" for character in text[:LONGEST_TEXT]]
    return "".join(characters) + ("…" if len(text) > LONGEST_TEXT else "")


def _how_to_answer(plan: Plan) -> str:
    digest = short(plan_digest(plan))
    return (
        f"\nThe plan is {digest}. To allow exactly this run:\n"
        f"  lamarck approve {plan.generation}\n"
        f'  lamarck approve {plan.generation} --by "YOUR NAME" --digest {digest}\n'
    )
