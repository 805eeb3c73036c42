"""Everything that a human approved is read once, from a regular file: what is hashed is what is parsed and trained."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lamarck.curriculum.item import read_curriculum
from lamarck.errors import LamarckError
from lamarck.gate.allowance import STUDENT
from lamarck.gate.approval import Approval, parse_approval
from lamarck.gate.check import asked_of, check_answer, gate_state
from lamarck.gate.plan import read_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.signature import check_signature, signature_of, signer_lists
from lamarck.train.run import TrainingJob, _check_loaded
from tests.gate.opens import before_opening, count_opens
from tests.gate.project import G1, ME, check, config, flip_last_byte, make_plan, refusal, say_yes, write_plan
from tests.gate.test_signature import allow, make_key

SIGNATURE = signature_of(G1.approval)


@pytest.fixture(autouse=True)
def never_waits() -> Iterator[None]:
    """A test that waits for a pipe ends with an error instead of hanging."""

    def refuse(number: int, frame: object) -> None:
        raise TimeoutError("it waits")

    signal.signal(signal.SIGALRM, refuse)
    signal.alarm(60)
    yield
    signal.alarm(0)


def test_each_file_of_an_approval_is_opened_once() -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    files = (G1.plan, G1.approval, SIGNATURE, G1.curriculum, G1.control.curriculum)
    with count_opens(*files) as opened:
        check(config())
    assert opened == dict.fromkeys(files, 1)


def read_twice(path: Path) -> Approval:
    """What the gate must not do: parse what one reading gave, and verify what another did."""
    approval = parse_approval(path.read_bytes(), path, "g1")
    check_signature(path.read_bytes(), SIGNATURE.read_bytes(), approval.approver, signer_lists(path), path)
    return approval


def read_once(path: Path) -> Approval:
    return check_answer(asked_of("g1", read_plan(G1.plan)), path)


@pytest.mark.parametrize(("reader", "is_fooled"), [(read_once, False), (read_twice, True)])
def test_a_signature_counts_for_the_bytes_that_are_parsed(reader: Callable[[Path], Approval], is_fooled: bool) -> None:
    """The approval of one plan is signed. Another one lies in its place, and gives way at its second reading."""
    key = make_key("mine")
    allow(key)
    say_yes(key)
    signed, signed_plan = G1.approval.read_bytes(), plan_digest(make_plan(config()))
    write_plan(config(seed=7))
    other = plan_digest(read_plan(G1.plan))
    G1.approval.write_bytes(signed.replace(signed_plan.encode(), other.encode()))
    readings = []

    def swap() -> None:
        readings.append(1)
        if len(readings) == 2:
            Path("signed").write_bytes(signed)
            os.replace("signed", G1.approval)

    with before_opening(G1.approval, swap):
        try:
            fooled = reader(G1.approval).plan == other
        except LamarckError as error:
            fooled = False
            assert "is not A Tester's over these bytes" in str(error)
    assert fooled == is_fooled


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _directory(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize("put", [_pipe, _device, _directory, _socket])
@pytest.mark.parametrize(
    "path", [G1.plan, G1.approval, SIGNATURE, Path("config/allowed_signers"), G1.curriculum, G1.control.curriculum]
)
def test_what_is_not_a_regular_file_is_refused_and_never_waited_for(path: Path, put: Callable[[Path], None]) -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    path.unlink()
    put(path)
    sentence = refusal()
    assert str(path) in sentence
    assert "is not a regular file" in sentence or "cannot be read: No such device" in sentence
    if path in (G1.plan, G1.approval):
        assert gate_state(G1, G1.plan, G1.approval).state == "refused"


def test_files_that_a_cache_has_linked_in_are_read() -> None:
    say_yes()
    for number, path in enumerate((G1.curriculum, G1.plan)):
        os.replace(path, f"cached{number}")
        path.symlink_to(Path(f"cached{number}").absolute())
    assert len(check(config()).items) == 5


def test_a_plan_has_one_text() -> None:
    """Two texts with one meaning have two digests, of which a person has read one."""
    text, seed = G1.plan.read_text(), f'"seed": {config().seed}'
    others = (
        text.replace(seed, f'"seed": 7, {seed}'),
        text.replace(seed, f"{seed}.0"),
        text.replace("\n", "\r\n"),
        text + "\n",
        "[" * 100_000,
    )
    for other in others:
        assert other != text
        G1.plan.write_bytes(other.encode())
        with pytest.raises(LamarckError, match="is not a plan as `lamarck` writes it"):
            read_plan(G1.plan)


def test_weights_that_change_after_the_gate_are_not_trained() -> None:
    say_yes()
    nowhere = Path("nowhere")
    job = TrainingJob(0.0, config(), G1, check(config()), STUDENT, G1.weights, None, nowhere, nowhere, nowhere, 1)
    _check_loaded(job)
    flip_last_byte(G1.weights / "model.safetensors")()
    with pytest.raises(LamarckError, match="the parent of g1 changed while it was loaded"):
        _check_loaded(job)


def test_what_is_trained_is_what_was_read() -> None:
    """Nothing that the gate admitted is asked for again by path."""
    say_yes()
    plan, items = make_plan(config()), list(read_curriculum(G1.curriculum))
    admitted = check(config())
    for path in (G1.curriculum, G1.plan, G1.approval, Path("strategy.yaml")):
        path.unlink()
    assert admitted.plan == plan
    assert list(admitted.items) == items
    assert (admitted.approval.plan, admitted.approval.approver) == (plan_digest(plan), ME)
    assert admitted.strategy.digest() == plan.strategy.digest
