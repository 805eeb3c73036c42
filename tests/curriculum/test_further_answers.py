"""Of several answers, which one is learned: the first that holds, the shortest, or what most of them say."""

from lamarck.curriculum.further_answers import CandidateAnswer, Chosen, choose
from lamarck.skills import Problem, get_skill

SUM = "<a2> 4 + 5 - 3 =>"
WORDS = "Solve the problem. Show a Python program, then a line `Answer: NUMBER`.\n\nProblem: 4 and 5 make how many?"


def chosen(skill: str, prompt: str, answers: list[str], how: str) -> Chosen | None:
    known = get_skill(skill)
    candidates = [CandidateAnswer(Problem(prompt, answer), "", "solve") for answer in answers]
    return choose(known, candidates, how, known.verify)  # type: ignore[arg-type]


def text_of(found: Chosen | None) -> str | None:
    return found and found.candidate.problem.completion


def program(lines: str, answer: str) -> str:
    return f"Program:\n```python\n{lines}\n```\nAnswer: {answer}"


def test_the_first_that_is_verified() -> None:
    assert text_of(chosen("arithmetic", SUM, ["9", "9 6", "9 6"], "first")) == "9 6"
    assert chosen("arithmetic", SUM, ["9", "9 7"], "first") is None
    assert chosen("arithmetic", SUM, [], "first") is None


def test_the_shortest_that_is_verified_reasoning_included() -> None:
    long, short = program("a = 4\nb = a + 5", "9"), program("a = 4 + 5", "9")
    assert text_of(chosen("math_word", WORDS, [long, "Answer: 9", short], "shortest")) == short
    thoughtful = CandidateAnswer(Problem(WORDS, short), "a thought " * 20, "solve")
    brief = CandidateAnswer(Problem(WORDS, long), "", "solve")
    skill = get_skill("math_word")
    assert text_of(choose(skill, [thoughtful, brief], "shortest", skill.verify)) == long


def test_a_vote_needs_half_and_no_equal() -> None:
    right, wrong = "Answer: 9", "Answer: 8"
    found = chosen("math_word", WORDS, [wrong, right, "It is 9.\nAnswer: 9.0", right], "vote")
    assert found is not None
    assert text_of(found) == right
    assert (found.verdict.by, found.verdict.score) == ("vote", 0.75)
    assert chosen("math_word", WORDS, [right, wrong], "vote") is None
    assert chosen("math_word", WORDS, [right, right, wrong, "Answer: 7", "Answer: 6"], "vote") is None
    assert chosen("math_word", WORDS, [right], "vote") is None
    assert chosen("math_word", WORDS, ["none", "none"], "vote") is None


def test_where_there_is_a_verifier_the_vote_does_not_overrule_it() -> None:
    assert chosen("arithmetic", SUM, ["9 7", "9 7", "9 6"], "vote") is None
    found = chosen("arithmetic", SUM, ["9 6", "9 6", "9 7"], "vote")
    assert found is not None
    assert (found.verdict.by, found.verdict.score) == ("arithmetic, vote", 1.0)
    # A program that contradicts its own answer is wrong, however many say so.
    assert chosen("math_word", WORDS, [program("a = 4 + 5", "8")] * 3, "vote") is None
