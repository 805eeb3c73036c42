"""`lamarck report`, `lamarck review gN --html`, and the rule `report`: pages as files."""

from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.lineage.generation import Generation
from lamarck.report.page.gather import gather, gather_texts
from lamarck.report.page.markdown import report_markdown
from lamarck.report.page.outcomes import Outcomes
from lamarck.report.page.pending import gather_pending
from lamarck.report.page.render import report_html, review_html

PAGE = Path("results/report.html")


def write_report(config_path: Path, output: Path) -> None:
    outcomes = Outcomes()
    lineage = gather(load_config(config_path), outcomes)
    write_text(output, report_html(lineage, gather_texts(lineage.members, outcomes)))


def report_md(config_path: Path, base: str | None) -> str:
    config = load_config(config_path)
    return report_markdown(gather(config, Outcomes()), base, Path(config.suite))


def report_json(config_path: Path) -> str:
    """What the page is drawn from, texts apart."""
    return gather(load_config(config_path), Outcomes()).model_dump_json(indent=2)


def write_review(config_path: Path, generation: Generation, output: Path) -> None:
    """Errors: LamarckError for the founder or a control arm, which have no plan of their own."""
    if generation.is_control or not generation.number:
        raise LamarckError(f"{generation.name} has no plan of its own: review the generation that it belongs to")
    write_text(output, review_html(*gather_pending(load_config(config_path), generation)))
