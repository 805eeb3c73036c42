"""`lamarck report` and the rule `report`: the lineage's page."""

from pathlib import Path

from lamarck.config import load_config
from lamarck.files import write_text
from lamarck.report.page.gather import gather, gather_texts
from lamarck.report.page.render import report_html

PAGE = Path("results/report.html")


def write_report(config_path: Path, output: Path) -> None:
    lineage = gather(load_config(config_path))
    write_text(output, report_html(lineage, gather_texts(lineage.members)))
