"""Two rooms: what an answer's room may say, and what comes of rooms and examiners that break."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from lamarck.judging import outer_room, plain_data
from lamarck.judging.examination import ExaminationBroken, examine
from lamarck.judging.sandbox import MIB, Job, Limits, Sandbox, SandboxUnavailable

GROUPS = (("passes", "test_"),)
QUICK = Limits(seconds=2, memory_bytes=512 * MIB, disk_bytes=4 * MIB)
PATIENT = Limits(seconds=60, memory_bytes=512 * MIB, disk_bytes=4 * MIB)
DOUBLE = "from examiner import ask, equal\n\n\ndef test_double():\n    equal(ask('double(4)'), 8)\n"
RIGHT = "def double(x):\n    return 2 * x\n"


def passes(answer: str, sandbox: Sandbox, examination: str = DOUBLE, limits: Limits = PATIENT) -> bool:
    return examine(sandbox, answer, examination, GROUPS, limits, imports=outer_room.PLAIN).held == ("passes",)


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (RIGHT, True),
        ("", False),
        ("\x00\x01", False),
        ("\ud800", False),
        ("double = 8", False),
        ("import os\nos._exit(0)", False),
        ("import os\nos.kill(os.getpid(), 9)", False),
        ("while True:\n    pass", False),
        ("def double(x):\n    while True:\n        pass", False),
        ("def double(x):\n    return x * 10**5000", False),
        ("def double(x):\n    return float('nan')", False),
        ("def double(x):\n    ring = [8]\n    ring.append(ring)\n    return ring", False),
        ("def double(x):\n    return b'x' * 10**8", False),
        ("class Eight(int):\n    pass\n\n\ndef double(x):\n    return Eight(8)", False),
        ("def double(x):\n    return object()", False),
        ("def double(x):\n    open('/tmp/full', 'wb').write(bytes(2**23))\n    return 8", False),
        ("import os\n\nwhile True:\n    os.write(3, b'x' * 65536)", False),
        ("import os\n\nos.close(3)", False),
        ("print('x' * 10**8)\n" + RIGHT, True),  # what it prints while it is loaded is kept from the output
        ("def double(x):\n    raise ZeroDivisionError", False),
    ],
    ids=range(20),
)
def test_what_an_answer_does_is_its_own_affair(answer: str, passed: bool, sandbox: Sandbox) -> None:
    assert passes(answer, sandbox, limits=PATIENT if passed else QUICK) is passed
    assert passes(RIGHT, sandbox)  # the next one is as it was


def test_the_answers_room_holds_neither_the_examination_nor_its_values(sandbox: Sandbox) -> None:
    look = "import glob\n\n\ndef seen():\n    return sorted(glob.glob('/task/*')), sorted(glob.glob('/tmp/*'))\n"
    wanted = (["/task/answer.py", "/task/plain_data.py", "/task/room.py"], [])
    examination = f"from examiner import ask, equal\n\n\ndef test_seen():\n    equal(ask('seen()'), {wanted!r})\n"
    assert passes(look, sandbox, examination)


def test_an_examiner_without_a_verdict_is_an_error_and_no_zero(sandbox: Sandbox) -> None:
    killed = "import os\nimport signal\n\n\ndef test_end():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    with pytest.raises(ExaminationBroken, match="evaluate again"):
        passes(RIGHT, sandbox, killed)
    with pytest.raises(ExaminationBroken, match="SyntaxError"):
        passes(RIGHT, sandbox, "def test_(")


def test_where_the_template_has_ended_another_is_started(sandbox: Sandbox) -> None:
    started = outer_room.template(("json",))
    started.close()
    with pytest.raises(outer_room.TemplateFailed, match="has ended"):
        started.connect()
    assert outer_room.template(("json",)) is not started


def test_where_the_keeper_of_a_room_is_killed_there_is_an_error_and_no_zero(sandbox: Sandbox) -> None:
    sleeper = Job({"main.py": "import time\ntime.sleep(600)"}, PATIENT, script="main.py", imports=("json",))
    template = outer_room.template(("json",))._process.pid
    with ThreadPoolExecutor() as pool:
        running = pool.submit(sandbox.run_job, sleeper)
        # bubblewrap twice, the template, the keeper, the room's first process, the program.
        while len(line := descent(template)) < 6:
            time.sleep(0.05)
        os.kill(line[-3], signal.SIGKILL)
        with pytest.raises(SandboxUnavailable, match="the keeper of the room ended"):
            running.result()


def descent(process: int) -> list[int]:
    """A process, its child, its child's child ..."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(descent(int(children[-1])) if children else [])]


EVALUATION = """
import sys
from lamarck.judging.sandbox import Limits, Sandbox

sandbox = object.__new__(Sandbox)  # without the probe, which imports torch
limits = Limits(seconds=20, processes=32)
bomb = "import os\\nfor _ in range(99):\\n    try:\\n        os.fork() or os._exit(0)\\n    except OSError: pass"
for number in range(4):
    sandbox.python({"main.py": bomb}, "main.py", limits)
    name = f"/tmp/{number}-of-{sys.argv[1]}"
    code = f"import glob\\nopen({name!r}, 'w').close()\\nprint(glob.glob('/tmp/*'))"
    assert sandbox.python({"main.py": code}, "main.py", limits).stdout == f"{[name]}\\n"
"""


def test_two_evaluations_at_once_do_not_meet(sandbox: Sandbox) -> None:
    """Processes of their own, with rooms that bear the same names."""
    runs = [subprocess.Popen([sys.executable, "-c", EVALUATION, each]) for each in ("one", "other")]
    assert [run.wait() for run in runs] == [0, 0]


def test_what_cannot_be_imported_is_said(sandbox: Sandbox) -> None:
    with pytest.raises(outer_room.TemplateFailed, match="no_such_module"):
        outer_room.Template(("no_such_module",))


def test_where_no_room_can_be_built_nothing_runs_and_it_says_why(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outer_room, "outer_room", lambda: ["bwrap", "--ro-bind", "/nowhere", "/nowhere", "--"])
    monkeypatch.setattr(outer_room, "_templates", {})
    with pytest.raises(SandboxUnavailable, match="the sandbox cannot be built here"):
        Sandbox()


def test_evaluations_side_by_side_do_not_touch(sandbox: Sandbox) -> None:
    """A fork bomb and a right answer, at the same time, and more than one of each."""
    bomb = "import os\n\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    limits = {bomb: Limits(seconds=2, processes=32), RIGHT: PATIENT}
    with ThreadPoolExecutor(4) as pool:
        answers = [bomb, RIGHT, bomb, RIGHT]
        judged = list(pool.map(lambda answer: passes(answer, sandbox, limits=limits[answer]), answers))
    assert judged == [False, True, False, True]


def test_the_memory_of_a_room_is_that_of_all_its_processes(sandbox: Sandbox) -> None:
    """Four processes, each within what one may have, hold together what the room may not."""
    code = "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        break\n"
    code += "held = b'x' * 2**28\ntime.sleep(30)\n"
    run = sandbox.python({"main.py": code}, "main.py", Limits(seconds=20, memory_bytes=600 * MIB))
    assert run.stopped_by == "it held more memory than it may"


REFUSED = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (272, 250, 101, 319, 425), "aarch64": (97, 219, 117, 279, 425)}[os.uname().machine]
given = (0x10000000,), (0, -3, 1), (0, 0, 0), (b"x", 0), (8, 0)
print([libc.syscall(number, *each) for number, each in zip(numbers, given)])
for family in (40, 38, 17):
    try:
        socket.socket(family, socket.SOCK_STREAM)
        print("opened", family)
    except OSError as error:
        print(error.errno)
print(os.fork() >= 0)
"""


def test_the_kernel_refuses_what_leads_out(sandbox: Sandbox) -> None:
    """Namespaces, keys, tracing, unmapped memory, io_uring; sockets to the host, of the kernel, of packets."""
    said = sandbox.python({"main.py": REFUSED}, "main.py", QUICK)
    assert said.stdout.splitlines()[:4] == ["[-1, -1, -1, -1, -1]", "1", "1", "1"], said
    assert "True" in said.stdout


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


VALUES = [
    None,
    True,
    -(2**200),
    1.5,
    float("inf"),
    "\ud800 \x00",
    b"\x00\xff",
    1 + 2j,
    [1, [2, (3,)]],
    {1: "a", (2, 3): [None], "x": {}},
    {1, 2},
    frozenset("ab"),
    torch.arange(6).reshape(2, 3),
    torch.tensor([1.0, float("nan")], dtype=torch.bfloat16),
    torch.zeros(0, 3),
    torch.tensor(True),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_plain_data_comes_as_it_went(value: object, pair: tuple[socket.socket, socket.socket]) -> None:
    plain_data.send(pair[0], value)
    came = plain_data.receive(pair[1])
    assert type(came) is type(value)
    if isinstance(value, torch.Tensor):
        assert came.dtype == value.dtype and came.shape == value.shape
        assert torch.equal(came.nan_to_num(7), value.nan_to_num(7)) if value.is_floating_point() else came.equal(value)
    else:
        assert came == value


class Text(str):
    pass


NOT_PLAIN = [Text("x"), object(), len, torch.eye(2).to_sparse(), torch.ones(1, device="meta"), iter([]), 10**5000]


@pytest.mark.parametrize("value", NOT_PLAIN, ids=range(len(NOT_PLAIN)))
def test_what_is_not_plain_does_not_go(value: object, pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(plain_data.NotPlain):
        plain_data.send(pair[0], value)


MESSAGES: list[object] = [
    {"object": 1},
    {},
    {"tuple": [1], "list": [2]},
    {"tuple": 3},
    {"set": [[1]]},
    {"dict": [[1]]},
    {"dict": [[[], 1]]},
    {"bytes": 1},
    {"bytes": "!"},
    {"complex": ["a", 1]},
    {"tensor": ["float32", [2], ""]},
    {"tensor": ["float32", [-1], ""]},
    {"tensor": ["float32", [2**62, 2**62], ""]},
    {"tensor": ["object", [1], "AAAA"]},
    {"tensor": [["float32"], [1], "AAAA"]},
    {"tensor": "x"},
    {"tensor": ["float32", [True], "AAAAAA=="]},
]


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_words_that_are_no_plain_data_are_refused(message: object, pair: tuple[socket.socket, socket.socket]) -> None:
    refuse(json.dumps(message).encode(), pair)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[" * 100_000, b"1" * 5000, b"{", b"[" + b"1," * 1_000_001 + b"1]"], ids=range(6)
)
def test_bytes_that_are_no_plain_data_are_refused(body: bytes, pair: tuple[socket.socket, socket.socket]) -> None:
    refuse(body, pair)


def refuse(body: bytes, pair: tuple[socket.socket, socket.socket]) -> None:
    sender = threading.Thread(target=lambda: pair[0].sendall(struct.pack("<Q", len(body)) + body))
    sender.start()
    with pytest.raises(plain_data.NotPlain):
        plain_data.receive(pair[1])
    sender.join()


def test_a_message_of_any_length_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(b"\xff" * 8)
    with pytest.raises(plain_data.NotPlain, match="bytes"):
        plain_data.receive(pair[1])
    pair[0].close()
    with pytest.raises(EOFError):
        plain_data.receive(pair[1])
