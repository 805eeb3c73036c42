"""What the skills in plain English share: one line a problem, one line an answer, both short enough for a small model.

A chat model of a hundred million parameters reads the request, answers in at most 64 tokens, and is judged to the
letter. A teacher is asked with a worked example of the first difficulty, and writes the problem, then `Answer: ` and
the answer on the next line.
"""

from abc import abstractmethod

from lamarck.skills.base import Malformed, Problem, SkillInEnglish, Verdict

MARK = "\nAnswer: "  # between a problem and its answer, in what a teacher writes
LONGEST = 2048  # characters of a problem with its answer
NAMES = ("Mia", "Leo", "Ana", "Tom", "Eva")
ASK = """\
Write one exercise with {count} and its answer, in this form:
{example}
{world}"""


class PlainSkill(SkillInEnglish):
    """Difficulty is the number of parts of a problem, which `part` names in one word."""

    longest = LONGEST
    part: str  # field, step, change
    example: Problem  # of the first difficulty
    world: str  # one line: of what the problems are made

    @abstractmethod
    def read(self, prompt: str) -> tuple[list[str], str]:
        """(parts, right answer) of a problem. Errors: Malformed."""

    def ask(self, difficulty: int) -> str:
        count = f"{difficulty} {self.part}{'s' * (difficulty > 1)}"
        return ASK.format(count=count, example=_line(self.example), world=self.world)

    def parse(self, asked: str, text: str) -> Problem:
        if len(text) > LONGEST:
            raise Malformed("longer than any problem of this skill")
        start = text.find(self.head)
        prompt, answer, completion = text[max(start, 0) :].partition(MARK)
        if start < 0 or not answer:
            raise Malformed("no problem and answer in the form that was asked for")
        return Problem(prompt.strip(), completion.strip())

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        return self.ask(self.difficulty(prompt)), _line(Problem(prompt, completion))

    def difficulty(self, prompt: str) -> int:
        return len(self.read(prompt)[0])

    def judge(self, problem: Problem) -> Verdict:
        _, right = self.read(problem.prompt)
        return Verdict(True, "exact") if problem.completion == right else Verdict(False, "not the right answer")

    def counted(self, parts: list[str]) -> list[str]:
        """Errors: Malformed for more or fewer parts than any difficulty has."""
        if len(parts) not in self.difficulties:
            raise Malformed(f"{self.part}s of no difficulty")
        return parts


def _line(problem: Problem) -> str:
    return f"{problem.prompt}{MARK}{problem.completion}"
