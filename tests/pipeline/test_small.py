"""`make small` in little: a GGUF file of SmolLM2's architecture with random weights, up to the plan of g1."""

from pathlib import Path

import yaml
from gguf import GGMLQuantizationType

from tests.founder.test_gguf import pack
from tests.models.families import save_model
from tests.pipeline.conftest import Project

SMALL = ("--configfile", "config/small.yaml")
# Describe a campaign's lineages, as is done before its human is asked, and print what the question is made of.
DESCRIBED = """
from pathlib import Path
from lamarck.campaign.members import load_campaign
from lamarck.campaign.run import describe

campaign = load_campaign(Path("config/campaigns/small_optimizers.yaml"))
describe(campaign)
print(*[child.plan for _, child in campaign.trained_at(campaign.steps[0])])
"""


def test_a_gguf_is_primed_and_teaches(blank: Project, tmp_path: Path) -> None:
    """What is random is right by chance now and then, held to the form of one number. The wrong implementation: rules
    of generations that are asked for a founder's parent, once it has a curriculum and a plan of its own."""
    project = blank.copy(tmp_path / "project")
    put_in_its_place(project, tmp_path)
    alone = {"skills": {"plain_sums": {"share": 1, "difficulties": [1]}}}
    edit(
        project, "config/primers/small.yaml", **alone, size=12, recipe={"steps": 2, "batch_size": 4, "max_tokens": 1500}
    )
    strategy = {
        "size": 3,
        "probe_samples": 450,
        "minimum_items": 1,
        "difficulty": {"kind": "following", "band": [0, 0.8]},
    }
    edit(project, "config/strategies/plain.yaml", **alone, **strategy)
    edit(
        project,
        "config/small.yaml",
        recipe={"steps": 2, "batch_size": 4, "max_tokens": 1500},
        engine={"threads": 1, "founder_threads": 1},
        control=False,
    )

    said = project.run("lamarck", "demo", *SMALL).stdout
    assert "g0 waits for a human" in said and "Exception" not in said
    assert "snakemake --configfile config/small.yaml`" in project.approve("g0"), "as the demo was started"
    said = project.snakemake("results/g1/plan.json", *SMALL)
    assert "a founder: it has no parent" not in said
    source = project.read("results/g0/weights/source.json")
    assert (source["kind"], source["from"]["kind"], source["license"]) == ("primed", "gguf", "apache-2.0")
    card = project.read("results/g1/curriculum.json")
    assert card["items"] >= 1 and "malformed" not in card["dropped"]
    assert project.read("results/g1/plan.json")["recipe"]["settings"]["dtype"] == "bfloat16"

    # A campaign's founders are what came of the primer: copied, not primed again, and each is asked for one curriculum.
    plans = project.run("python", "-c", DESCRIBED).stdout.split()
    jobs = [line.split() for line in project.snakemake("--dry-run", *plans, *SMALL).splitlines()]
    asked = {job[0]: int(job[1]) for job in jobs if len(job) == 2 and job[1].isdecimal()}
    rules = ("founder", "prime", "curriculum", "shared_curriculum", "member_plan")
    assert [asked.get(rule, 0) for rule in rules] == [3, 0, 3, 21, 24]


def put_in_its_place(project: Project, folder: Path) -> None:
    """The small model where config/small.yaml has the real one."""
    model = save_model(
        folder / "model", "llama", settings={"tie_word_embeddings": True, "max_position_embeddings": 2048}
    )
    path = project.root / yaml.safe_load((project.root / "config/small.yaml").read_text())["founder"]["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    pack(model, path, GGMLQuantizationType.Q8_0, architecture="llama")


def edit(project: Project, path: str, **changes: object) -> None:
    """Change keys of a YAML file; a section keeps those that are not named."""
    values = yaml.safe_load((project.root / path).read_text())
    for key, value in changes.items():
        whole = key == "skills" or not isinstance(value, dict)
        values[key] = value if whole else values[key] | value
    (project.root / path).write_text(yaml.safe_dump(values, sort_keys=False))
