"""What a campaign's ledger shows, as files: every arm, its paired difference to the first, and how the race stands.

python -m lamarck.campaign --campaign parts --output results/campaigns/parts/result.json \\
    --table results/campaigns/parts/result.md
"""

import argparse
from pathlib import Path

from lamarck.campaign.members import load_campaign
from lamarck.campaign.table import as_markdown, result_of
from lamarck.errors import exit_with_sentence
from lamarck.files import canonical_json, write_together
from lamarck.lineage.artifacts import CAMPAIGN_RESULT
from lamarck.lineage.listing import campaign_file


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.campaign", description="Say what a ledger shows.")
    parser.add_argument("--campaign", required=True, help="its name")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args()
    made_from = CAMPAIGN_RESULT.made_from(arguments.campaign)
    campaign = load_campaign(campaign_file(arguments.campaign))
    result = {"made_from": made_from} | result_of(campaign)
    write_together({arguments.output: canonical_json(result), arguments.table: as_markdown(campaign)})


if __name__ == "__main__":
    exit_with_sentence(main)
