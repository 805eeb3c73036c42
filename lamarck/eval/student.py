"""The student of the teaching tier: always the same model, out of the suite, pretrained here or fetched as that says.

python -m lamarck.eval.student --suite config/suites/tiny-v3 --output results/g0/student
"""

import argparse
import shutil
import time
from pathlib import Path

from lamarck.config.founder import HubFounder
from lamarck.errors import exit_with_sentence
from lamarck.files import atomic_directory, file_digests, write_json
from lamarck.lineage.digest import suite_digest, weights_digest
from lamarck.lineage.generation import SHIPPED_STUDENT, WEIGHTS_RECORD
from lamarck.lineage.records import make_record
from lamarck.progress import count_up
from lamarck.suites.sections import ShippedStudent
from lamarck.suites.suite import Suite, held_out_prompts, load_suite


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.eval.student", description="Make or bring the student.")
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    started = time.perf_counter()
    suite = load_suite(arguments.suite)
    seed = suite.tiers.teaching.student_seed
    with atomic_directory(arguments.output) as directory:
        device_seconds = make_student(suite, directory, arguments.threads)
        wall_seconds = time.perf_counter() - started
        digest = weights_digest(directory)
        record = make_record(
            digest, {"suite": suite_digest(arguments.suite)}, seed, "cpu", wall_seconds, device_seconds
        )
        source = {"files": file_digests(directory), "record": record.model_dump(mode="json")}
        write_json(directory / WEIGHTS_RECORD, source)
    print(f"student: {digest[:8]}")


def make_student(suite: Suite, directory: Path, threads: int) -> float:
    """Fill `directory` with the student's model directory. Returns the device seconds it took."""
    student = suite.tiers.teaching.student
    if isinstance(student, ShippedStudent):
        for path in (suite.path / SHIPPED_STUDENT).iterdir():
            shutil.copyfile(path, directory / path.name)
        return 0.0
    if isinstance(student, HubFounder):
        from lamarck.founder.local import name_founder

        name_founder(student.repo, student.revision, directory)
        return 0.0

    import torch  # seconds to import

    from lamarck.founder.tiny import pretrain

    torch.set_num_threads(threads)
    with count_up("the suite's student is pretrained", "steps", student.steps) as on_step:
        seed = suite.tiers.teaching.student_seed
        return pretrain(student, held_out_prompts(suite), directory, seed, on_step).device_seconds


if __name__ == "__main__":
    exit_with_sentence(main)
