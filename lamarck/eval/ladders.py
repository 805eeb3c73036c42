"""Engineering at tiny scale: what a model of a hundred thousand parameters can answer, judged rung by rung.

trace    predict what a program of list operations prints, line by line (as CRUXEval does, arXiv:2401.03065)
record   write a record as JSON
writing  write a problem with its answer, as an item of a curriculum

Every rung is decided by a program, and each needs the one before it. Light: no torch.
"""

import json
from collections.abc import Callable, Iterable

from lamarck.skills import Malformed, Skill
from lamarck.skills.list_ops import LENGTH
from lamarck.suites.sections import RUNGS

Rungs = dict[str, bool]


def judge_trace(answer: str, target: str) -> Rungs:
    """form: every operation's name, in order, with a list of four after it; half: the first half of the lists are
    right; whole: all are. `target` is the right trace."""
    given, right = _lists(answer), _lists(target)
    form = [name for name, _ in given] == [name for name, _ in right] and all(len(line) == LENGTH for _, line in given)
    half = form and given[: (len(right) + 1) // 2] == right[: (len(right) + 1) // 2]
    return {"form": form, "half": half, "whole": half and given == right}


def _lists(trace: str) -> list[tuple[str, list[str]]]:
    """(operation, the words after it) for each operation of a trace; words before the first belong to none."""
    found: list[tuple[str, list[str]]] = []
    for word in trace.split():
        if word.isalpha():
            found.append((word, []))
        elif found:
            found[-1][1].append(word)
        else:
            return []
    return found


def judge_record(answer: str, target: str) -> Rungs:
    """parses: it is a JSON object; keys: with the right keys, in order, none twice; values: and the right values."""
    try:
        given = json.loads(answer, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return dict.fromkeys(RUNGS["record"], False)
    right = json.loads(target, object_pairs_hook=list)
    parses = isinstance(given, list) and answer.lstrip().startswith("{")
    keys = parses and [key for key, _ in given] == [key for key, _ in right]
    return {"parses": parses, "keys": keys, "values": keys and given == right}


def judge_writing(texts: Iterable[str], skill: Skill, difficulty: int, held_out: Callable[[str], bool]) -> list[Rungs]:
    """parses: a problem with an answer; asked: a sound problem, of the difficulty asked for; right: its answer is
    right; new: no earlier text has the problem, and the suite has it not."""
    seen: set[str] = set()
    judged = []
    asked = skill.ask(difficulty)
    for text in texts:
        rungs = dict.fromkeys(RUNGS["writing"], False)
        judged.append(rungs)
        try:
            problem = skill.parse(asked, text)
            rungs["parses"] = True
            rungs["asked"] = skill.difficulty(problem.prompt) == difficulty
        except Malformed:
            continue
        rungs["right"] = rungs["asked"] and skill.verify(problem).verified
        rungs["new"] = rungs["right"] and problem.prompt not in seen and not held_out(problem.prompt)
        seen.add(problem.prompt)
    return judged


# Of those kinds whose every item has one right answer.
JUDGES: dict[str, Callable[[str, str], Rungs]] = {"trace": judge_trace, "record": judge_record}
