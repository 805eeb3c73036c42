"""The report stage: results/lineage.json and results/scores.csv, from the records of everything before.

python -m lamarck.report --config config/default.yaml --output results/lineage.json --table results/scores.csv
"""

import argparse
from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import exit_with_sentence
from lamarck.files import write_json, write_text
from lamarck.report.lineage import build_lineage, scores_table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.report", description="Derive the lineage's summary.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args()
    lineage = build_lineage(load_config(arguments.config))
    write_json(arguments.output, lineage)
    write_text(arguments.table, scores_table(lineage))


if __name__ == "__main__":
    exit_with_sentence(main)
