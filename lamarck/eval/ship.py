"""Put the student of a suite into it, and freeze the suite: from then on everybody has the same, to the bit.

    python -m lamarck.eval.ship --suite config/suites/tiny-v2
    python -m lamarck.eval.ship --suite config/suites/tiny-v3 --like config/suites/tiny-v2

The same pretraining gives other bits on another processor, and other students make other scores: a ruler is made once.
"""

import argparse
from pathlib import Path

from lamarck.config.section import load_section
from lamarck.config.tiny import TinyFounder
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.eval.student import make_student
from lamarck.files import atomic_directory, digest_directory
from lamarck.lineage.digest import FROZEN
from lamarck.lineage.generation import SHIPPED_STUDENT
from lamarck.suites.build import write_suite_file
from lamarck.suites.frozen import freeze
from lamarck.suites.sections import ShippedStudent, SuiteFile
from lamarck.suites.suite import Suite, held_out_prompts, load_suite


def ship(path: Path, threads: int = 1, like: Path | None = None) -> str:
    """Pretrain the student that suite.yaml describes, or bring that of the suite `like`, and store it there; the
    suite's digest.

    Errors: LamarckError where the suite is frozen, its student is not pretrained here, or that of `like` was raised
    otherwise or on what this suite holds out.
    """
    if (path / FROZEN).exists():
        raise LamarckError(f"{path} is frozen already: build the changed suite under a new name")
    suite = load_suite(path)
    world = suite.tiers.teaching.student
    if not isinstance(world, TinyFounder):
        raise LamarckError(f"{path}: only a student of kind tiny can be put into a suite")
    with atomic_directory(path / SHIPPED_STUDENT) as directory:
        if like is None:
            make_student(suite, directory, threads)
            _halve(directory)
        else:
            make_student(_alike(suite, like), directory, threads)
    student = ShippedStudent(kind="shipped", weights=digest_directory(path / SHIPPED_STUDENT), world=world)
    file = load_section(path / "suite.yaml", SuiteFile)
    teaching = file.tiers.teaching.model_copy(update={"student": student})
    tiers = file.tiers.model_copy(update={"teaching": teaching})
    write_suite_file(path, file.model_copy(update={"tiers": tiers}))
    return freeze(path)


def _alike(suite: Suite, like: Path) -> Suite:
    """The suite in `like`, whose student is this suite's as well."""
    other = load_suite(like)
    mine, theirs = suite.tiers.teaching, other.tiers.teaching
    shipped = theirs.student
    if (
        not isinstance(shipped, ShippedStudent)
        or (shipped.world, theirs.student_seed) != (mine.student, mine.student_seed)
        or not held_out_prompts(suite) <= held_out_prompts(other)
    ):
        raise LamarckError(f"the student of {like} was not raised as that of {suite.path} is to be: leave out --like")
    return other


def _halve(directory: Path) -> None:
    """Store the weights in 16 bits: half of what everybody fetches, and read back into 32 exactly."""
    import torch
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    halves = {name: tensor.to(torch.float16) for name, tensor in load_file(path).items()}
    save_file(halves, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors leaves it to its owner alone


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.eval.ship", description="Put a suite's student into it.")
    parser.add_argument("--suite", type=Path, required=True, help="a suite that was built and is not frozen")
    parser.add_argument("--like", type=Path, help="a suite whose student is to be this one's, too")
    arguments = parser.parse_args()
    print(f"{arguments.suite}: frozen, digest {ship(arguments.suite, like=arguments.like)}")


if __name__ == "__main__":
    exit_with_sentence(main)
