"""`make demo`: the whole lineage, one gate at a time, with a person at the keyboard."""

import sys
from pathlib import Path

from lamarck import output
from lamarck.asking import ask
from lamarck.below import below
from lamarck.commands.report import PAGE, write_report
from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.gate import review
from lamarck.gate.approval import make_approver
from lamarck.gate.approve import approve, default_approver
from lamarck.gate.standing import command, next_step, standing
from lamarck.lineage.freshness import survey
from lamarck.report.table import scores_rows, scores_sentences, scores_table


def run(config_path: Path) -> None:
    """Advance gate by gate. Away from a terminal it stops at the first closed gate and prints how to go on."""
    config = load_config(config_path)
    while True:
        now = standing(config, survey(config))
        if now.state == "work":
            _advance(config_path)
            now = standing(config, survey(config))
        if now.state == "done":
            break
        if now.state == "work" or now.generation is None or now.gate is None:
            raise LamarckError("snakemake ended with work left: its messages above say why; run it again to go on")
        if not sys.stdin.isatty():
            print(next_step(config, str(config_path), now))
            return
        shown = review.show(now.generation)
        known = default_approver() or make_approver(ask("Your name: "), None)
        approve(now.generation, ask, known, shown=shown)
    console = output.console()
    rows = scores_rows(config)
    console.print(scores_table(rows))
    for sentence in scores_sentences(rows):
        console.print(sentence, style="red", markup=False, highlight=False)
    write_report(config_path, PAGE)
    last = f"g{config.generations}"
    console.print("\nWhat to look at next:")
    for what, why in (
        (f"{command('lamarck')} compare {last} g0", "which tasks were won and lost"),
        ("results/g1/curriculum.jsonl", "what g0 taught, with every verdict"),
        (f"{command('lamarck')} verify", "every artifact against its record"),
        (str(config_path), "raise `generations`, and the same command goes on"),
        (str(PAGE), "all of it as one page, for any browser"),
    ):
        console.print(f"  {what:<36} {why}", markup=False, highlight=False)


def _advance(config_path: Path) -> None:
    program = str(Path(sys.executable).parent / "snakemake")
    with below([program, "--configfile", str(config_path)]) as snakemake:
        snakemake.wait()
    if snakemake.returncode:
        raise LamarckError("snakemake stopped: its messages above say why; nothing that was finished is lost")
