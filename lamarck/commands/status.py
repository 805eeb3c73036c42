"""`lamarck status`: one table of what there is, what is stale, and what waits for whom."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lamarck import output
from lamarck.config import Config, load_config
from lamarck.errors import LamarckError
from lamarck.gate.check import gate_state
from lamarck.gate.standing import DEFAULT_CONFIG, command, next_step, standing, started
from lamarck.lineage.artifacts import PRIMER_PLAN, table
from lamarck.lineage.contents import Scores, read_scores
from lamarck.lineage.flags import cut_short_among, flag_sentences, red_flags
from lamarck.lineage.freshness import Artifact, survey, survey_crosses
from lamarck.lineage.generation import Generation, parse_generation
from lamarck.lineage.kind import Kind
from lamarck.lineage.reward import Routing, rewards_table, route_rewards
from lamarck.output import tell


def show(config_path: Path, as_json: bool) -> None:
    config = load_config(config_path)
    artifacts = survey(config)
    content = status(config, artifacts)
    if as_json:
        print(json.dumps(content, indent=2, sort_keys=True))
        return
    console = output.console()
    console.print(_table(content["generations"], table(config)))
    for generation in content["generations"]:
        for name, reason in generation["artifacts"].items():
            if reason not in (None, "missing"):
                console.print(Text(f"stale: {generation['generation']}/{name}: {reason}", style="yellow"))
        if generation["gate"] and generation["gate"]["state"] == "refused":
            console.print(Text(f"refused: {generation['gate']['sentence']}", style="bold red"))
        for sentence in flag_sentences(generation["generation"], generation["flags"], generation["cut_short"]):
            console.print(Text(sentence, style="red"))
    rewards = rewards_table(Routing.model_validate(content["strategies"])) if content["strategies"] else None
    if rewards is not None:
        console.print(rewards)
    if str(config_path) == DEFAULT_CONFIG != (other := started()[0]):
        again = f"{command('lamarck')} status --configfile {shlex.quote(other)}"
        tell(console, f"This is of {DEFAULT_CONFIG}. The last run that stopped at a gate was of {other}: `{again}`")
    # As it is: a command that was broken into lines could not be pasted.
    console.print(Text(next_step(config, str(config_path), standing(config, artifacts))), soft_wrap=True)


def status(config: Config, artifacts: list[Artifact]) -> dict[str, Any]:
    """For machines: per generation and arm, the artifacts with why they are stale, the gate, and the score; what
    the strategies earned."""
    now = standing(config, artifacts)
    waiting = {"state": now.state, "generation": now.generation.name if now.generation else None}
    generations: dict[str, dict[str, Any]] = {}
    for artifact in [*artifacts, *survey_crosses(config)]:
        name, file = artifact.name.rsplit("/", 1)
        generations.setdefault(name, {})[file] = artifact.stale
    return {
        "next": waiting,
        "generations": [_generation(name, files) for name, files in generations.items()],
        "strategies": _strategies(config),
    }


def _strategies(config: Config) -> dict[str, Any] | None:
    """None where a plan or a record cannot be read: its artifact is shown as stale, with the reason."""
    try:
        return route_rewards(config.generations).model_dump()
    except LamarckError:
        return None


def _generation(name: str, artifacts: dict[str, str | None]) -> dict[str, Any]:
    generation = parse_generation(name)
    scores, founder = _scores(generation), _scores(Generation(0))
    gate = None
    # Of a founder there is one where it has a primer.
    if (generation.number or PRIMER_PLAN.path(generation).name in artifacts) and not generation.is_control:
        state = gate_state(generation, generation.plan, generation.approval)
        by = state.approval.approver.name if state.approval else None
        gate = {"state": state.state, "sentence": state.sentence, "by": by}
        if not generation.plan.exists():
            gate["state"] = "not planned"
    return {
        "generation": name,
        "artifacts": artifacts,
        "gate": gate,
        "score": scores.score if scores else None,
        "partial": scores.partial if scores else None,
        "flags": red_flags(scores, founder) if scores and founder else {},
        "cut_short": _cut_short(generation),
    }


def _scores(generation: Generation) -> Scores | None:
    """None where they are missing or cannot be read: they are shown as stale, with the reason."""
    try:
        return read_scores(generation.scores) if generation.scores.exists() else None
    except LamarckError:
        return None


def _cut_short(generation: Generation) -> list[str]:
    """None where the training's record cannot be read: the child is shown as stale, with the reason."""
    try:
        return cut_short_among([generation])
    except LamarckError:
        return []


def _table(generations: list[dict[str, Any]], kinds: Iterable[Kind]) -> Table:
    """One row a generation, readable at 80 columns: what it has in words instead of a column for every artifact."""
    shown = Table(box=box.SIMPLE_HEAD)
    kinds = tuple(kinds)
    for heading in ("", "artifacts", "gate", "score"):
        shown.add_column(heading, justify="right" if heading == "score" else "left")
    for row in generations:
        score = "" if row["score"] is None else f"{row['score']:.1f}"
        # A primer's items and plan are called as a child's are.
        own = [kind for kind in kinds if kind.made_for_number(parse_generation(row["generation"]))]
        names = {_file(kind): kind.name.replace("_", " ") for kind in own}
        made = _made({names[file]: reason for file, reason in row["artifacts"].items()})
        shown.add_row(row["generation"], made, _gate(row["gate"]), "partial" if row["partial"] else score)
    return shown


def _made(named: dict[str, str | None]) -> Text:
    """`all 4 fresh`, or which are fresh, stale and still to come."""
    fresh = [name for name, reason in named.items() if reason is None]
    to_come = [name for name, reason in named.items() if reason == "missing"]
    stale = [name for name in named if name not in (*fresh, *to_come)]
    if len(fresh) == len(named):
        return Text(f"all {len(named)} fresh", style="green")
    parts = [
        Text(f"STALE: {', '.join(stale)}", style="bold yellow") if stale else None,
        Text(f"fresh: {', '.join(fresh)}", style="green") if fresh else None,
        Text(f"to come: {', '.join(to_come)}") if to_come else None,
    ]
    return Text("\n").join(part for part in parts if part is not None)


def _file(kind: Kind) -> str:
    """Under which name an artifact of this kind is listed."""
    return PurePath(next(iter(kind.files.values()))).name


def _gate(gate: dict[str, Any] | None) -> Text:
    if gate is None:
        return Text("")
    if gate["state"] == "open":
        return Text(f"approved by {gate['by']}", style="green")
    if gate["state"] == "not planned":
        return Text("-")
    return Text("WAITS FOR A HUMAN" if gate["state"] == "waiting" else "REFUSED", style="bold red")
