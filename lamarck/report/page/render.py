"""From data to one HTML file that needs nothing else: no network, no file beside it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lamarck.lineage.generation import CONTROL
from lamarck.report.page import summary
from lamarck.report.page.gather import ShownLineage, Texts
from lamarck.report.page.pending import Pending, questions
from lamarck.report.page.runs import PARTS, spent, spent_by_generation
from lamarck.report.page.texts import pack

HERE = Path(__file__).parent
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
OWN_SCRIPTS = ("page.js", "charts.js", "records.js", "browsers.js")


def report_html(lineage: ShownLineage, texts: Texts) -> str:
    """The lineage's page."""
    rows = [*spent_by_generation(lineage.costs), spent("all", lineage.costs)]
    return _render("report.html", lineage, texts, answers=summary.answers(lineage), spent=rows, spent_parts=PARTS)


def review_html(pending: Pending, lineage: ShownLineage, texts: Texts) -> str:
    """One pending plan's page."""
    return _render("review.html", lineage, texts, pending=pending, answers=questions(pending, lineage))


def _render(template: str, lineage: ShownLineage, texts: Texts, **values: Any) -> str:
    """Every value is escaped; what the scripts may do is fixed by their digests."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "difference": summary.difference_text,
        "interval": summary.interval_text,
        "score": summary.score_text,
        "duration": summary.duration,
    }
    scripts = [(HERE / "static" / name).read_text(encoding="utf-8") for name in (*LIBRARIES, *OWN_SCRIPTS)]
    text = environment.get_template(template).render(
        style=Markup((HERE / "static/page.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
        data=_data(lineage, texts),
        records=_records(lineage),
        lineage=lineage,
        texts=texts,
        **values,
    )
    # Half a surrogate pair, which a YAML file can hold, is no UTF-8.
    return text.encode("utf-8", "replace").decode()


def _policy(scripts: list[str]) -> str:
    """Content-Security-Policy: no request at all, and no script but these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    nowhere = "default-src 'none'; base-uri 'none'; form-action 'none'"
    return f"{nowhere}; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def _data(lineage: ShownLineage, texts: Texts) -> Markup:
    """What the scripts read at once. `<` is escaped, so that no text can end the element that holds it."""
    each: Any = "__all__"
    candidates = {member.name for member in lineage.members if member.lane not in ("", CONTROL)}
    apart: Any = {
        # In the packs.
        "members": {each: {"pieces": {each: {"record"}}, "gate": {"plan_content"}}},
        # Task by task, only the lineage and its control arm are drawn, and only against the founder.
        "scores": {
            name: {"to_parent": {"tasks"}, "to_other_parent": {"tasks"}, "to_control": {"tasks"}}
            | ({"to_founder": {"tasks"}, "tasks": True} if name in candidates else {})
            for name in lineage.scores
        },
        "trainings": {name: {"curve"} for name in candidates & lineage.trainings.keys()},
    }
    packed: Any = {"curricula": {each: {"data"}}, "answers": {"items": True, "members": {each: {"data"}}}}
    content = lineage.model_dump(mode="json", exclude=apart) | {"texts": texts.model_dump(mode="json", exclude=packed)}
    return Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))


def _records(lineage: ShownLineage) -> str:
    """Every record and every plan, packed: looked at one by one."""
    return pack(
        {
            member.name: {
                "plan": member.gate.plan_content if member.gate else None,
                "records": {
                    piece.kind: piece.record.model_dump(mode="json") for piece in member.pieces if piece.record
                },
            }
            for member in lineage.members
        }
    )
