"""The `lamarck` command: look at a lineage, review and approve its plans, check and compare its results."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.asking import approver_of, asked
from lamarck.cli.campaigns import campaigns
from lamarck.cli.evolutions import evolutions
from lamarck.cli.groups import curricula, founders, pods, suites
from lamarck.cli.merging import merges
from lamarck.cli.options import DEFAULT, AsJson, By, ConfigFile, Contact
from lamarck.cli.ratchets import ratchets
from lamarck.cli.searches import searches
from lamarck.cli.serving import chat, serve
from lamarck.errors import exit_with_sentence

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # what an exception says may come from a file
    rich_markup_mode="markdown",
    help="""Raise models: g0 writes a curriculum, a human approves the run, training makes g1; g1 teaches g2.

    **The loop** `snakemake` works up to the next gate · `lamarck review g1` shows what it proposes ·
    `lamarck approve g1` allows exactly that · `snakemake` goes on.

    **First time?** `make demo` walks through two generations of tiny models in a few minutes.""",
)

app.add_typer(curricula, name="curriculum")
app.add_typer(founders, name="founder")
app.add_typer(suites, name="suite")
app.add_typer(pods, name="pods")
app.add_typer(campaigns, name="campaign")
app.add_typer(searches, name="search")
app.add_typer(ratchets, name="ratchet")
app.add_typer(evolutions, name="evolve")
app.add_typer(merges, name="merge")


@app.command()
def status(configfile: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Where the lineage stands, what waits for whom, and which approvals do not hold."""
    from lamarck.commands import status as report

    report.show(configfile, as_json)


@app.command()
def plan(
    gpu: Annotated[str | None, typer.Option(help="Another GPU of config/machines.yaml for every step.")] = None,
    dollars_per_hour: Annotated[float | None, typer.Option(min=0.01, help="What one GPU costs you, instead.")] = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """What every step would take, before anything runs: machines, memory, hours and dollars, or what does not fit."""
    from lamarck.commands import plan as report

    report.show(configfile, gpu, dollars_per_hour, as_json)


@app.command()
def review(
    generation: str,
    edit: Annotated[bool, typer.Option("--edit", help="Drop or change items in your $EDITOR.")] = False,
    by: Annotated[str | None, typer.Option(help="With --edit, your name; asked for, or from git, if left out.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page instead.")] = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the training run that waits for an answer: `lamarck review g1`; curate its items first: `--edit`."""
    from lamarck.gate import review as page
    from lamarck.lineage.generation import parse_generation

    child = parse_generation(generation)
    if html:
        from lamarck.commands.report import write_review

        write_review(configfile, child, html)
        print(f"{html}: open it in any browser")
    elif edit:
        from lamarck.config import load_config
        from lamarck.gate.edit import edit_curriculum

        edit_curriculum(load_config(configfile), child, approver_of(by, None).name)
    elif as_json:
        print(json.dumps(page.review_json(child), indent=2, sort_keys=True))
    else:
        page.show(child)


@app.command()
def approve(
    generation: str,
    by: By = None,
    contact: Contact = None,
    digest: Annotated[str | None, typer.Option(help="The plan's short digest; asked for when left out.")] = None,
    note: Annotated[str, typer.Option(help="Why; kept in the approval.")] = "",
    key: Annotated[Path | None, typer.Option(help="Sign with this ssh key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Allow exactly the run that `lamarck review` shows. Only a human should: you type its digest back."""
    from lamarck.gate.approve import approve as write
    from lamarck.lineage.generation import parse_generation

    approver = approver_of(by, contact)
    child = parse_generation(generation)
    path = write(child, digest if digest is not None else asked, approver, note, key)
    if as_json:
        print(json.dumps({"approval": str(path), "by": approver.name, "generation": generation}, sort_keys=True))
    else:
        from lamarck.gate.standing import go_on_with

        print(f"{path}: {generation} is approved by {approver.name}. Go on with {go_on_with(child)}.")


@app.command()
def cross(
    first: Annotated[str, typer.Argument(metavar="PARENT")],
    second: Annotated[str, typer.Argument(metavar="PARENT")],
    to: Annotated[str, typer.Option(metavar="GENERATION", help="The child, in a lineage of its own: cross/g3.")],
    method: Annotated[
        str, typer.Option(help="concatenate, exactly; or on the products, cut to a rank: ties, della, ...")
    ] = "concatenate",
    weight: Annotated[tuple[float, float], typer.Option(help="Of each parent.")] = (1.0, 1.0),
    rank: Annotated[int | None, typer.Option(min=1, help="Of the child; the sum of theirs if left out.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the method.")
    ] = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Describe a child of two generations of one founder: their adapters become one, once a human allows it."""
    from lamarck.commands import cross as command

    command.cross(first, second, to, method, weight, rank, parameters or [], configfile, as_json)


@app.command()
def resume(
    generation: str,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="DIRECTORY, or HOST:DIRECTORY, with the copy in it.")],
    by: By = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Let GENERATION's training go on here from a copy of a checkpoint (`recipe.copy_to`) that outlived its machine."""
    from lamarck.lineage.configured import load_config_of
    from lamarck.lineage.generation import parse_generation
    from lamarck.train.take_in import take_in

    child = parse_generation(generation)
    taken = take_in(load_config_of(configfile, child), child, place, approver_of(by, None).name)
    if as_json:
        print(taken.model_dump_json())
    else:
        print(f"{generation} goes on from step {taken.step:,} of {place}, which {taken.by} vouches for: run snakemake.")


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("results/report.html"),
    markdown: Annotated[bool, typer.Option("--md", help="Print a summary for a pull request instead.")] = False,
    base: Annotated[str | None, typer.Option(help="With --md: the git revision to compare with.")] = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """The lineage as one page that needs no network: graph, scores, curricula, training, answers."""
    from lamarck.commands import report as command
    from lamarck.errors import LamarckError

    if base and not markdown:
        raise LamarckError("--base says with what the summary compares: give --md, too")
    if as_json:
        print(command.report_json(configfile))
    elif markdown:
        print(command.report_md(configfile, base), end="")
    else:
        command.write_report(configfile, out)
        print(f"{out}: open it in any browser")


@app.command()
def verify(configfile: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Hash every artifact again and compare it with its record; name the first that differs."""
    from lamarck.commands import verify as report

    report.show(configfile, as_json)


@app.command()
def compare(
    first: str,
    second: str,
    exam: Annotated[str | None, typer.Option(help="On this exam instead of the lineage's own suite.")] = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """FIRST minus SECOND, item by item: generations (`g2`, `control/g2`) or git revisions (`main`, `v1:g2`)."""
    from lamarck.commands import compare as report

    report.show(first, second, configfile, exam, as_json)


@app.command()
def skills(as_json: AsJson = False) -> None:
    """The skills that a strategy can name: what each asks, how difficult, and who judges it."""
    from lamarck.commands import skills as report

    report.show(as_json)


@app.command()
def demo(configfile: ConfigFile = DEFAULT) -> None:
    """Run the lineage, stopping at every gate to show the plan and ask you."""
    from lamarck.commands import demo as walk

    walk.run(configfile)


@app.command(name="eval")
def evaluate(
    suite: Annotated[str, typer.Option(help="Name in config/suites, or its directory.")],
    model: Annotated[Path | None, typer.Option(help="Model directory to score.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="LoRA adapter on it.")] = None,
    student: Annotated[Path | None, typer.Option(help="The suite's student, where it is not in the suite.")] = None,
    output: Annotated[Path | None, typer.Option(help="Directory for eval.json and samples.jsonl.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be asked, and its cost.")] = False,
    # Assumed: a 70B model in FP8 on one node of two 80 GB cards, many answers side by side.
    tokens_per_second: Annotated[float, typer.Option(help="Assumed speed, for the cost.")] = 1000.0,
    dollars_per_hour: Annotated[float, typer.Option(help="Assumed price of the machine, for the cost.")] = 6.0,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put any model directory to a frozen suite, or show what that takes: `lamarck eval --suite v1r2 --dry-run`."""
    from lamarck.commands import suite as report
    from lamarck.errors import LamarckError

    if dry_run:
        report.show_outlook(suite, tokens_per_second, dollars_per_hour, as_json)
        return
    if model is None or output is None:
        raise LamarckError("give --model DIR and --output DIR, or --dry-run to see what would be asked")
    report.show_scores(suite, model, adapter, student, output, configfile, as_json)


app.command()(serve)
app.command()(chat)


@app.command()
def publish(
    generation: str,
    repo: Annotated[str, typer.Option(metavar="OWNER/NAME", help="On the Hugging Face hub; made if it is not there.")],
    public: Annotated[bool, typer.Option("--public", help="For everyone to see; private otherwise.")] = False,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put the lineage up to GENERATION on the hub, with a model card. The token comes from HF_TOKEN."""
    from lamarck.hub import publish as hub
    from lamarck.lineage.generation import parse_generation

    hub.show(parse_generation(generation), repo, public, configfile, as_json)


@app.command()
def fetch(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the Hugging Face hub.")],
    revision: Annotated[str, typer.Option(metavar="SHA", help="The full commit hash, as `lamarck publish` prints it.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The project that it comes into.")] = Path(),
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Bring a published lineage back and check every digest of it against its records."""
    from lamarck.hub import fetch as hub

    hub.show(repo, revision, into, configfile, as_json)


@app.command()
def export(
    generation: str,
    to: Annotated[Path, typer.Option(metavar="DIR", help="A directory that is not there yet.")],
    gguf: Annotated[bool, typer.Option("--gguf", help="Also as GGUF, through llama.cpp's converter.")] = False,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make GENERATION one ordinary 16-bit model directory, and score that against the generation itself."""
    from lamarck.export import run
    from lamarck.lineage.generation import parse_generation

    run.export(parse_generation(generation), to, gguf, configfile, as_json)


def main() -> None:
    exit_with_sentence(_run)


def _run() -> None:
    """Errors: LamarckError where a word of the command line is not text: it could stand in no record."""
    from lamarck.errors import LamarckError

    for word in sys.argv[1:]:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise LamarckError(f"{word!r} on the command line is not text in this terminal's encoding") from error
    app()
