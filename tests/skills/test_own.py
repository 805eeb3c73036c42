"""A user's own skill: it runs elsewhere, may raise and hang, and is found out where it cannot be relied on."""

import os
import random
from pathlib import Path

import pytest

from lamarck.config.strategy import Share
from lamarck.errors import LamarckError, Malformed
from lamarck.skills import get_skill, own
from lamarck.skills.base import Problem
from lamarck.skills.own import OwnSkill

SKILL = """
import os
import random
import time

from lamarck.skills import Malformed, Problem, Skill, Verdict


class Spelling(Skill):
    name = "spelling"
    description = "a word to be spelt backwards; compared with the one right answer"
    difficulties = range(3, 6)

    def sample(self, rng, difficulty):
        word = "".join(rng.choice("abcdef") for _ in range(difficulty))
        return Problem(f"Spell {word} backwards.", word[::-1])

    def space(self, difficulty):
        return 6**difficulty

    def ask(self, difficulty):
        return f"Write a word of {difficulty} letters, and spell it backwards."

    def parse(self, asked, text):
        prompt, bar, completion = text.partition(" | ")
        if not bar:
            raise Malformed("no bar")
        return Problem(prompt, completion)

    def written(self, prompt, completion):
        return self.ask(self.difficulty(prompt)), f"{prompt} | {completion}"

    def difficulty(self, prompt):
        return len(self._word(prompt))

    def verify(self, problem):
        right = self._word(problem.prompt)[::-1]
        return Verdict(problem.completion == right, "exact")

    def what_varies(self, prompt):
        return frozenset({self._word(prompt)})

    def _word(self, prompt):
        words = prompt.split()
        if len(words) != 3:
            raise Malformed("not three words")
        return words[1]
"""
RIGHT = 'return Verdict(problem.completion == right, "exact")'
TAKES_TURNS = 'self.turn = not getattr(self, "turn", False); return Verdict(self.turn, "its turn")'
WORD = "def _word(self, prompt):"


def written(tmp_path: Path, old: str = "", new: str = "") -> str:
    assert old in SKILL
    path = tmp_path / "spelling.py"
    path.write_text(SKILL.replace(old, new) if old else SKILL)
    return str(path)


def opened(tmp_path: Path, old: str = "", new: str = "") -> OwnSkill:
    skill = OwnSkill("spelling", written(tmp_path, old, new), seconds=60)
    skill.check((3,))
    return skill


def test_a_sound_skill_does_what_its_class_does(tmp_path: Path) -> None:
    skill = opened(tmp_path)
    problem = skill.sample(random.Random(0), 4)
    assert skill.difficulty(problem.prompt) == 4
    assert skill.verify(problem).verified
    assert not skill.verify(Problem(problem.prompt, "x")).verified
    assert skill.parse(*skill.written(problem.prompt, problem.completion)) == problem
    assert skill.filed(problem) == (problem, 4)
    assert (skill.form(3), skill.difficulties, skill.space(3)) == (None, range(3, 6), 216)
    with pytest.raises(Malformed, match="no bar"):
        skill.parse("", "nothing")


def test_it_runs_in_another_process_and_may_print(tmp_path: Path) -> None:
    changed = f'print("talk"); os.write(1, b"more"); {RIGHT.replace("exact", "x")}'.replace('"x"', "str(os.getpid())")
    skill = opened(tmp_path, RIGHT, changed)
    assert int(skill.verify(skill.sample(random.Random(0), 3)).reason) != os.getpid()


def test_what_it_raises_refuses_the_text(tmp_path: Path) -> None:
    skill = opened(tmp_path, WORD, f"{WORD}\n        if 'boom' in prompt: raise RuntimeError('no')")
    verdict = skill.verify(Problem("Spell boom backwards.", "moob"))
    assert (verdict.verified, verdict.reason) == (False, "the skill raised RuntimeError: no")
    with pytest.raises(Malformed, match="the skill raised RuntimeError: no"):
        skill.difficulty("Spell boom backwards.")
    assert skill.verify(skill.sample(random.Random(0), 3)).verified, "it goes on"


def test_one_that_hangs_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    skill = opened(tmp_path, WORD, f"{WORD}\n        if 'wait' in prompt: time.sleep(600)")
    skill._worker._seconds = 1  # only now: whatever it was asked before may take its time
    with pytest.raises(LamarckError, match=r"did not answer within 1 s \(verify\)"):
        skill.verify(Problem("Spell wait backwards.", "tiaw"))
    assert skill._worker._process.poll() is not None, "no process is left behind"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (RIGHT, TAKES_TURNS, "verify.. answered one question in two ways"),
        ("rng.choice", "random.choice", "sample.. drew two problems with one generator"),
        (RIGHT, 'return Verdict(True, "all")', "verifies an empty answer"),
        (RIGHT, 'return Verdict(False, "none")', "refuses its own problem of difficulty 3: none"),
        ('f"{prompt} | {completion}"', "prompt", "no bar"),
        ("return len(self._word(prompt))", "return 4", "difficulty.. finds another than 3"),
        ("import time", "import nowhere", "cannot be read: ModuleNotFoundError"),
        ('name = "spelling"', 'name = "other"', "has no class of kind Skill whose name is 'spelling'"),
        ("range(3, 6)", "(3, 5)", "difficulties must be a range"),
        ("import time", "os._exit(3)", "has ended"),
    ],
)
def test_one_that_cannot_be_relied_on_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(LamarckError, match=why):
        opened(tmp_path, old, new)


def test_a_strategy_makes_it_known_and_a_changed_file_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "_DECLARED", {})
    monkeypatch.setattr(own, "_OPEN", {})
    part = Share(share=1, difficulties=(3,), code=written(tmp_path))
    with pytest.raises(LamarckError, match="there is no skill 'spelling'"):
        get_skill("spelling")
    monkeypatch.setitem(own._DECLARED, "spelling", part)
    before = part.own_digests("spelling")
    assert get_skill("spelling") is get_skill("spelling")
    written(tmp_path, "word to be", "text to be")
    assert part.own_digests("spelling") != before
    assert get_skill("spelling").description.startswith("a text to be")


def test_an_installed_package_registers_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves a package: a module, and beside it what it registers."""
    (tmp_path / "spelling.py").write_text(SKILL)
    about = tmp_path / "spelling-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: spelling\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lamarck.skills]\nspelling = spelling:Spelling\n")
    part = Share(share=1, difficulties=(3,), code="entry point")
    with pytest.raises(LamarckError, match="0 installed packages register a skill 'spelling'"):
        part.own_digests("spelling")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    before = part.own_digests("spelling")
    skill = OwnSkill("spelling", "entry point")
    skill.check((3,))
    (tmp_path / "spelling.py").write_text(SKILL + "\n")
    assert part.own_digests("spelling") != before
    assert part.own_files == ()
