"""The model card of a published lineage: README.md, with the hub's own metadata, made from the records.

Format: https://huggingface.co/docs/hub/model-cards; scores as a model-index.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.config import Config, Form
from lamarck.eval.leaderboard import BENCHMARKS
from lamarck.gate.approval import read_approval
from lamarck.gate.plan import read_childs_plan
from lamarck.hub.contents import Manifest, members
from lamarck.lineage.configured import config_of
from lamarck.lineage.contents import (
    EvolvedSource,
    FounderSource,
    GgufSource,
    HubSource,
    MergeSource,
    PrimedSource,
    read_card,
    read_sat,
    read_scores,
    read_source,
    read_training,
)
from lamarck.lineage.digest import model_digest, short
from lamarck.lineage.generation import TRAINING_RECORD, WEIGHTS_RECORD, Generation, parse_generation
from lamarck.report.table import rows_of, scores_sentences

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

MARKUP = re.compile(r"([\\`*_\[\]|#~<>])")
LOADING: dict[Form, str] = {
    "adapter": """\
```python
from huggingface_hub import snapshot_download
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

lineage = snapshot_download("{repo}")  # better: with revision="the commit that you were given"
base = AutoModelForCausalLM.from_pretrained({base})
tokenizer = AutoTokenizer.from_pretrained({base})
model = PeftModel.from_pretrained(base, f"{{lineage}}/{change}")
```""",
    "delta": """\
`{change}` holds the difference to the founder's weights. `lamarck fetch {repo} --revision COMMIT`, then
`lamarck export {name} --to DIRECTORY` makes a model directory that any library opens.""",
    "weights": """\
```python
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM, AutoTokenizer

lineage = snapshot_download("{repo}")  # better: with revision="the commit that you were given"
model = AutoModelForCausalLM.from_pretrained(f"{{lineage}}/{change}")
tokenizer = AutoTokenizer.from_pretrained(f"{{lineage}}/{change}")
```""",
}
WHAT_IT_IS: dict[Form, str] = {
    "adapter": "a LoRA adapter on the founder, g0",
    "delta": "a difference to the weights of the founder, g0",
    "weights": "a model of its own, all of whose weights were trained from those of the founder, g0",
}


def model_card(config: Config, manifest: Manifest, repo: str) -> str:
    """The Markdown, YAML front matter first, of the lineage in the working directory, as far as `manifest` goes."""
    from huggingface_hub import ModelCard, ModelCardData

    last = manifest.last
    source = read_source(Generation(0).weights / WEIGHTS_RECORD)
    adapts = last.number == 0 or last.form == "adapter"
    rows = _published_rows(config, manifest)
    data = ModelCardData(
        license=_licence(source),
        library_name="peft" if adapts else "transformers",
        pipeline_tag="text-generation",
        base_model=source.repo if isinstance(source, HubSource) else None,
        base_model_relation=("adapter" if adapts else "finetune") if isinstance(source, HubSource) else None,
        model_name=repo.split("/")[1],
        tags=[
            "lamarck",
            *(["lora"] if adapts else []),
            *(["merge"] if last.is_crossed else []),
            "synthetic-curriculum",
        ],
        eval_results=_eval_results(rows, last, manifest) or None,
    )
    sections = [
        f"# {repo.split('/')[1]}: {last.name} of a lineage\n\n{_summary(manifest)}",
        f"## Lineage\n\n{_graph(manifest, rows)}",
        f"## Scores\n\n{_scores(rows, last, manifest)}",
        f"## Approvals\n\n{_approvals(manifest)}",
        f"## Base model\n\n{_base(source)}",
        f"## Load it\n\n{_loading(source, repo, last)}",
        "## Files and digests\n\n"
        "The files lie at the paths that they have in a Lamarck project; `lamarck.json` names each one's sha256. "
        f"`lamarck fetch {repo} --revision COMMIT` brings them back and checks every digest against the records.",
        f"## Licence\n\n{_licence_sentence(source)}",
    ]
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"))


def _published_rows(config: Config, manifest: Manifest) -> list[dict[str, Any]]:
    """The rows of those whose scores are published, a control arm's only beside its generation's."""
    scored = [each for each in _members(manifest) if str(each.scores) in manifest.files]
    rows = rows_of(config_of(config, manifest.last.lineage).model_copy(update={"control": True}), scored)
    for row, generation in zip(rows, scored, strict=True):
        if str(generation.control.scores) not in manifest.files:
            row.pop("control", None)
    return rows


def _members(manifest: Manifest) -> list[Generation]:
    """The founder and what leads to the last generation, control arms left out."""
    return [each for each in members(Path(), manifest.last) if not each.is_control]


def _summary(manifest: Manifest) -> str:
    last = manifest.last
    if not last.number:
        return "The founder of a lineage: nothing has been trained on it yet."
    names = " and ".join(parent.name for parent in last.parents)
    crossed = f" a child of {names}, made of both without a curriculum:" if last.is_crossed else ""
    return (
        f"Raised by Lamarck: each generation wrote the training curriculum of the next, a human approved the run, and "
        f"training on it made the child. {last.name} is{crossed} {WHAT_IT_IS[last.form]}."
    )


def _graph(manifest: Manifest, rows: list[dict[str, Any]]) -> str:
    scores = {row["generation"]: row for row in rows}
    scores |= {row["control"]["generation"]: row["control"] for row in rows if "control" in row}
    drawn = {each.name: each for child in _members(manifest) for each in (*child.ancestors, child)}
    number = {name: name if re.fullmatch(r"g\d+", name) else f"m{place}" for place, name in enumerate(drawn)}
    lines = ["graph LR"]
    for name, each in drawn.items():
        lines.append(f'  {number[name]}["{_node(name, scores.get(name))}"]')
        for parent in each.parents if each.number else ():
            items = "" if each.is_crossed else f'|"{read_card(each.card).items} items"|'
            lines.append(f"  {number[parent.name]} -->{items} {number[name]}")
    return "\n".join(["```mermaid", *lines, "```"])


def _children(manifest: Manifest) -> list[Generation]:
    return [each for each in _members(manifest) if each.number]


def _node(name: str, row: dict[str, Any] | None) -> str:
    return name if row is None or row["partial"] else f"{name}: {row['score']:.1f}"


def _scores(rows: list[dict[str, Any]], last: Generation, manifest: Manifest) -> str:
    if str(last.scores) not in manifest.files:
        missing = f"{last.name} was published right after its training: it has not been scored yet."
    else:
        missing = ""
    if not rows:
        return missing or "Nothing has been scored yet."
    every = [each for row in rows for each in (row, row.get("control")) if each]
    table = _table(
        ("generation", "score, 0..100 [95% interval]", "to its parent", "to g0", "bits/byte"),
        (
            (
                each["generation"],
                _score(each),
                "; ".join(filter(None, (_difference(each.get(key)) for key in ("to_parent", "to_other_parent")))),
                _difference(each.get("to_founder")),
                f"{each['bits_per_byte']:.3f}" if "bits_per_byte" in each else "",
            )
            for each in every
        ),
    )
    suite = read_scores(parse_generation(rows[-1]["generation"]).scores).suite
    notes = [
        f"- suite {suite.name}, sha256 `{suite.digest}`; differences are paired, over the same items",
        *(f"- {_text(sentence)}" for sentence in scores_sentences(rows)),
    ]
    return "\n\n".join(filter(None, [missing, table, "\n".join(notes)]))


def _score(row: dict[str, Any]) -> str:
    if row["partial"]:
        return "partial: not everything could run"
    return f"{row['score']:.1f} [{row['interval']['low']:.1f}, {row['interval']['high']:.1f}]"


def _difference(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    low, high = difference["interval"]["low"], difference["interval"]["high"]
    return f"{difference['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"


def _eval_results(rows: list[dict[str, Any]], last: Generation, manifest: Manifest) -> "list[EvalResult]":
    """The last generation's score and its tiers', where it has been scored in full, and its leaderboard's."""
    from huggingface_hub import EvalResult

    found = _leaderboard_results(last)
    row = rows[-1] if rows else None
    if row is None or row["generation"] != last.name or row["partial"]:
        return found
    scores = read_scores(last.scores)
    interval = f"95% interval [{row['interval']['low']:.1f}, {row['interval']['high']:.1f}]"
    figures: dict[str, tuple[float | None, str]] = {"score": (scores.score, f"score, 0..100, {interval}")}
    figures |= {tier: (each.score, f"{tier}, 0..100") for tier, each in scores.tiers.items()}
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type="lamarck-suite",
            dataset_name=scores.suite.name,
            dataset_revision=scores.suite.digest,
            metric_type=metric,
            metric_name=name,
            metric_value=round(value, 3),
        )
        for metric, (value, name) in figures.items()
        if value is not None
    ] + found


def _leaderboard_results(last: Generation) -> "list[EvalResult]":
    """What the very model that is published scored on the Open LLM Leaderboard's benchmarks, as far as they ran."""
    from huggingface_hub import EvalResult

    if not last.leaderboard.exists():
        return []
    sat = read_sat(last.leaderboard)
    if sat.model != model_digest(last.weights, last.change if last.number else None):
        return []
    return [
        EvalResult(
            task_type="text-generation",
            task_name="Text Generation",
            dataset_type=benchmark.dataset,
            dataset_name=benchmark.name,
            dataset_args={"num_few_shot": benchmark.shots},
            metric_type=" and ".join(benchmark.metrics),
            metric_name=benchmark.metric,
            metric_value=round(sat.benchmarks[benchmark.key].value, 2),
        )
        for benchmark in BENCHMARKS
        if benchmark.key in sat.benchmarks
    ]


def _approvals(manifest: Manifest) -> str:
    if not manifest.last.number:
        return "None: a founder needs none."
    rows = []
    for child in _children(manifest):
        approval = read_approval(child.approval, child.name)
        plan = read_childs_plan(child.plan)
        training = read_training(child.change / TRAINING_RECORD)
        rows.append(
            (
                child.name,
                _text(approval.approver.name),
                str(approval.date),
                short(approval.plan),
                f"{training.budget.used_device_seconds:g} of {plan.budget.device_seconds:g}",
                _text(approval.note),
            )
        )
    columns = ("generation", "approved by", "on", "plan", "device-seconds", "note")
    return _table(columns, rows)


def _base(source: FounderSource) -> str:
    digest = source.record.digest
    if isinstance(source, HubSource):
        where = f"[{source.repo}](https://huggingface.co/{source.repo}), revision `{source.revision}`"
        return f"{where}. Not repeated here: `results/g0/weights/source.json` lists its files, digest `{digest}`."
    if source.kind == "local":
        return f"A local model directory that is not published, digest `{digest}`: `results/g0/weights/source.json`."
    if isinstance(source, PrimedSource):
        return f"A {source.came.kind} founder after a primer, which is not published, digest `{digest}`."
    if isinstance(source, EvolvedSource):
        line = " -> ".join(source.line)
        return f"Bred by this project ({source.evolution}: {line}), digest `{digest}`: `results/g0/weights`."
    if isinstance(source, MergeSource):
        return f"{source.result}, a merge that is not published, digest `{digest}`. Made of:\n\n{_merged(source)}"
    if isinstance(source, GgufSource):
        return f"{source.name or 'A model'}, from a GGUF file that is not published, digest `{digest}`."
    return f"Pretrained by this project from nothing, digest `{digest}`: `results/g0/weights`."


def _merged(source: MergeSource) -> str:
    """The models that a founder was merged of."""
    rows = [(_text(each.name), f"`{each.digest}`", _text(each.license or "-")) for each in source.parents]
    return _table(("model", "digest", "licence"), rows)


def _loading(source: FounderSource, repo: str, last: Generation) -> str:
    base = 'f"{lineage}/results/g0/weights"'
    if isinstance(source, HubSource):
        base = f'"{source.repo}", revision="{source.revision}"'
    elif source.kind in ("local", "gguf", "merge", "primed"):
        base = '"the founder\'s directory"'
    if not last.number:
        return f"The weights are {base}."
    return LOADING[last.form].format(repo=repo, base=base, change=last.change, name=last.name)


def _licence(source: FounderSource) -> str:
    if source.kind == "tiny":
        return "apache-2.0"
    return source.license or "unknown"


def _licence_sentence(source: FounderSource) -> str:
    if source.kind == "tiny":
        return "Apache-2.0: the founder was pretrained by this project, on problems of its own generators."
    if isinstance(source, HubSource):
        return f"That of {source.repo} decides, which names its licence as {_licence(source)}."
    if isinstance(source, MergeSource):
        said = " ".join(_text(sentence) for sentence in source.said)
        return f"Those of the models that the founder was merged of decide. {said}".strip()
    if source.kind in ("gguf", "primed", "evolved"):
        origin = source.origin or "a place that it does not name"
        return f"That of the founder decides, which is from {origin}, and whose licence is {_licence(source)}."
    return "That of the founder decides, which is a local model directory: ask who published this."


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """People write names and notes: what they write must stay text."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))
