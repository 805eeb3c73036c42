"""What every skill shares: the shape of a line, and how an answer is judged."""

import random
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from lamarck.errors import Malformed
from lamarck.judging.sandbox import Sandbox

PROMPT_END = "=>"
# A line longer than this is no answer to anything asked here; refusing it first keeps hostile text cheap.
LONGEST_LINE = 4096
ANSWER = "\nAnswer:\n"  # between a problem and its answer, in what a teacher writes in English
# Control, format (bidirectional, zero-width), surrogate, private and unassigned characters: what nobody can see.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


@dataclass(frozen=True)
class Problem:
    """A prompt that ends in `=>`, and an answer to it: words separated by single spaces."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Verdict:
    verified: bool
    reason: str
    undecided: bool = False  # nothing here can tell: a vote among several answers may


class Skill(ABC):
    """One kind of item: how a teacher is asked for one, how its text is read, and how an answer is judged."""

    name: str
    description: str  # one line: what it asks; who can judge it
    difficulties: range

    @abstractmethod
    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        """An exact problem from the generator: for the founder's corpus and the suite, never for a curriculum."""

    @abstractmethod
    def space(self, difficulty: int) -> int:
        """How many different problems there are at a difficulty; where they are countless, a large number."""

    @abstractmethod
    def ask(self, difficulty: int) -> str:
        """What a teacher is asked, to write a problem with its answer."""

    def form(self, difficulty: int) -> str | None:
        """A regular expression for what a teacher writes that keeps to `ask`, for engines that can hold it to that
        (forms.py). None: the form is not more than words in a row."""
        return None

    @abstractmethod
    def parse(self, asked: str, text: str) -> Problem:
        """Prompt and completion in what a teacher wrote, `text`, when asked `asked`. Errors: Malformed."""

    @abstractmethod
    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        """(what a teacher is asked, what it wrote) for a problem and its answer: the inverse of `parse`."""

    @abstractmethod
    def difficulty(self, prompt: str) -> int:
        """The difficulty of a prompt whose words bear it out. Errors: Malformed when it is no problem."""

    @abstractmethod
    def verify(self, problem: Problem) -> Verdict:
        """Compare the completion with the one right answer. Never raises, whatever the text."""

    @abstractmethod
    def what_varies(self, prompt: str) -> frozenset[str]:
        """The parts that make a prompt this problem and no other of the skill. A copy has the same parts: in other
        white space, in another case, with its fields in another order, and with other names where these mean nothing.
        Errors: Malformed where the prompt has not the form of a problem."""

    def filed(self, problem: Problem) -> tuple[Problem, int]:
        """A problem under the difficulty that it has, whatever was asked for, with that. Errors: Malformed."""
        return problem, self.difficulty(problem.prompt)

    def said(self, completion: str) -> str | None:
        """What an answer comes to, equal for answers that agree, or None for one that says nothing."""
        return " ".join(completion.split()) or None


class SkillInEnglish(Skill):
    """A skill for models that read English: a prompt opens with the skill's own head, and a problem has a form."""

    head: str
    longest: int  # characters of a problem with its answer

    @abstractmethod
    def judge(self, problem: Problem) -> Verdict:
        """`verify`, for a problem of bearable length that can be seen. Errors: Malformed."""

    def parse(self, asked: str, text: str) -> Problem:
        if len(text) > self.longest:
            raise Malformed("longer than any problem of this skill")
        start = text.find(self.head)
        prompt, answer, completion = text[start:].partition(ANSWER)
        if start < 0 or not answer:
            raise Malformed("no problem and answer in the form that was asked for")
        return Problem(prompt.strip(), completion.strip())

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        return self.ask(self.difficulty(prompt)), f"{prompt}\n{ANSWER}{completion}"

    def verify(self, problem: Problem) -> Verdict:
        """Read the problem and, where it has code, run it in the sandbox. Errors: SandboxUnavailable, the one exception
        it raises: where the sandbox cannot be built, code that a model wrote does not run."""
        if len(problem.prompt) + len(problem.completion) > self.longest:
            return Verdict(False, "longer than any problem of this skill")
        letters = set(problem.prompt + problem.completion) - {"\n", "\t"}
        if any(unicodedata.category(each) in UNSEEN for each in letters):
            return Verdict(False, "characters that nobody can see")
        try:
            return self.judge(problem)
        except Malformed as error:
            return Verdict(False, str(error))

    @cached_property
    def _sandbox(self) -> Sandbox:
        return Sandbox()


class TaggedSkill(Skill):
    """A skill of the tiny world: lines of words. The prompt `<j2> name mia ; age 7 ; =>` opens with the tag of skill
    and difficulty, and a teacher is asked with the tag alone."""

    letter: str

    @abstractmethod
    def solve(self, words: list[str], difficulty: int) -> str:
        """The one right answer to a problem's words, tag and `=>` left out. Errors: Malformed when it is no problem."""

    @abstractmethod
    def steps(self, words: list[str]) -> int:
        """The difficulty that a problem's words have, should they be one."""

    def fields(self, words: list[str]) -> list[str]:
        """A problem's words in parts whose order means nothing. Most problems have but one: one digit more or less
        makes another problem, and there are too few of them to call it the same."""
        return [" ".join(words)]

    @abstractmethod
    def vocabulary(self) -> list[str]:
        """Every word that problems and answers may use, tags included."""

    def ask(self, difficulty: int) -> str:
        return f"<{self.letter}{difficulty}>"

    def tags(self) -> list[str]:
        return [self.ask(difficulty) for difficulty in self.difficulties]

    def parse(self, asked: str, text: str) -> Problem:
        if len(text) > LONGEST_LINE:
            raise Malformed("longer than any line of this skill")
        words = [asked, *text.split()]
        if PROMPT_END not in words:
            raise Malformed("no problem: the line has no =>")
        cut = words.index(PROMPT_END) + 1
        if cut == len(words):
            raise Malformed("no answer after =>")
        return Problem(" ".join(words[:cut]), " ".join(words[cut:]))

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        tag, _, rest = prompt.partition(" ")
        return tag, f"{rest} {completion}"

    def difficulty(self, prompt: str) -> int:
        """The difficulty that the prompt's tag states, for a prompt whose words bear it out. Errors: Malformed."""
        return self._read(prompt)[1]

    def what_varies(self, prompt: str) -> frozenset[str]:
        words = prompt.casefold().split() if len(prompt) <= LONGEST_LINE else []
        if len(words) < 3 or words[0] not in self.tags() or words[-1] != PROMPT_END:
            raise Malformed(f"no prompt of {self.name}: a tag, the problem, then {PROMPT_END}")
        return frozenset(self.fields(words[1:-1]))

    def filed(self, problem: Problem) -> tuple[Problem, int]:
        """The tag is set right: a problem of another difficulty than the one asked for is a problem none the less
        (hindsight, Andrychowicz et al. 2017, arXiv:1707.01495). Errors: Malformed."""
        words = problem.prompt.split(" ")[1:-1]
        difficulty = self.steps(words)
        if difficulty not in self.difficulties:
            raise Malformed("no difficulty of this skill")
        self.solve(words, difficulty)
        return Problem(" ".join([self.ask(difficulty), *words, PROMPT_END]), problem.completion), difficulty

    def verify(self, problem: Problem) -> Verdict:
        if len(problem.prompt) + len(problem.completion) > LONGEST_LINE:
            return Verdict(False, "longer than any line of this skill")
        try:
            right = self._read(problem.prompt)[0]
        except Malformed as error:
            return Verdict(False, str(error))
        return Verdict(True, "exact") if problem.completion == right else Verdict(False, "not the right answer")

    def _read(self, prompt: str) -> tuple[str, int]:
        """(right answer, difficulty) of a prompt. Errors: Malformed."""
        words = prompt.split(" ")
        tags = self.tags()
        if len(words) < 3 or words[0] not in tags or words[-1] != PROMPT_END:
            raise Malformed(f"no prompt of {self.name}: a tag, the problem, then =>")
        difficulty = self.difficulties[tags.index(words[0])]
        return self.solve(words[1:-1], difficulty), difficulty

    def _problem(self, words: list[str], difficulty: int) -> Problem:
        """The problem made of `words`, with its answer."""
        prompt = " ".join([self.ask(difficulty), *words, PROMPT_END])
        return Problem(prompt, self.solve(words, difficulty))
