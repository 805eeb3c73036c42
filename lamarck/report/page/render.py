"""From data to one HTML file that needs nothing else: no network, no file beside it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lamarck.report.page import summary
from lamarck.report.page.gather import Lineage, Texts

HERE = Path(__file__).parent
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
OWN_SCRIPTS = ("page.js", "charts.js", "records.js", "browsers.js")


def report_html(lineage: Lineage, texts: Texts) -> str:
    """The lineage's page."""
    return _render("report.html", lineage=lineage, texts=texts, data=_data(lineage, texts), answers=summary.answers(lineage))


def _render(template: str, **values: Any) -> str:
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
        **values,
    )
    # Half a surrogate pair, which a YAML file can hold, is no UTF-8.
    return text.encode("utf-8", "replace").decode()


def _policy(scripts: list[str]) -> str:
    """Content-Security-Policy: no request at all, and no script but these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"


def _data(lineage: Lineage, texts: Texts) -> Markup:
    """What the scripts read. `<` is escaped, so that no text can end the element that holds it."""
    answers = texts.answers.model_dump(mode="json", exclude={"items": True, "members": {"__all__": {"data"}}}) if texts.answers else None
    content = lineage.model_dump(mode="json") | {
        "texts": {
            "curricula": [packed.model_dump(mode="json", exclude={"data"}) for packed in texts.curricula],
            "answers": answers,
        }
    }
    return Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))
