"""The publishing stage: what has been made goes to the hub before anything else is made from it.

python -m lamarck.hub --config config/default.yaml --generation g1 --output results/g1/published.json
"""

import argparse
from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import write_json
from lamarck.hub.publish import publish
from lamarck.lineage.generation import parse_generation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.hub", description="Publish a generation.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    if config.publish is None:
        raise LamarckError(f"{arguments.config} has no `publish`: it says where to")
    published = publish(config, parse_generation(arguments.generation), config.publish.repo, config.publish.public)
    write_json(arguments.output, published.model_dump())
    print(f"{arguments.generation}: published in {published.repo}, commit {published.commit}")


if __name__ == "__main__":
    exit_with_sentence(main)
