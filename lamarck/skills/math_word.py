"""math_word: solve a word problem whose answer is a number, by a short program. For models that read English.

The answer is a program of assignments and arithmetic, and its result. Judged by running the program, which needs no
sandbox: it is read and computed here, step by step and within bounds. Its result must be the number on the last line,
and must hang on two numbers of the problem at least. This finds answers that contradict their program; it cannot tell
whether the program does what the problem says, and an answer without a program is a matter for a vote. Difficulty 1 to
4 is the number of different numbers in the problem: two to four, and five or more.
"""

import ast
import math
import operator
import random
import re
from collections.abc import Callable, Mapping, Set
from typing import NamedTuple

from lamarck.skills.base import Malformed, Problem, SkillInEnglish, Verdict
from lamarck.skills.forms import literal, pattern, repeated, span

HEAD = "Solve the problem. Show a Python program, then a line `Answer: NUMBER`."
LONGEST = 4096  # characters of a problem with its answer
LARGEST = 1e15  # of a number: larger ones do not survive arithmetic with floats
MOST_POWER = 64
TOLERANCE, SMALLEST = 1e-6, 1e-9  # relative, where floats enter; answers have nine decimals at most
FORM = re.compile(re.escape(HEAD) + r"\n\nProblem: ([^\n]+\?)")
PROGRAM = re.compile(r"Program:\n```python\n(.+)\n```\nAnswer: [^\n]+", re.DOTALL)
FIGURES = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:\.[0-9]{1,9})?"
NUMBER = re.compile(rf"(?<![0-9]){FIGURES}(?![0-9])")
WORD = re.compile(r"\w[\w'\u2019-]*")
SEVERAL_NAMES = re.compile(r"\*(\s+\*)+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
ANSWER = re.compile(rf"Answer: (-?{FIGURES})")

# What a teacher is asked, by difficulty. The example is no template's.
ASK = """\
Write one word problem for a model that learns arithmetic, and its right answer. The problem holds {numbers} different \
numbers (the example below: 2). Use this form exactly, with a story and numbers of your own:

{head}

Problem: A train rides at 80 km per hour for 3 hours. How many km does it ride?

Program:
```python
distance = 80 * 3
```
Answer: 240

The problem is one line, ends with a question mark, says every number in digits, and has one right answer, which is a \
number. The program has only assignments of names to arithmetic: numbers, names from lines above, brackets and the \
signs + - * / // % **. It computes the answer from the problem's numbers, and its last line is the answer. After \
`Answer: ` stands that number alone, without a unit, rounded only where it has more than nine decimals. Write nothing \
else."""


class Value(NamedTuple):
    number: float
    used: Set[float]  # the numbers in the program on which it hangs


OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv},
    **{ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow},
}
NAMES = "Ana Ben Chloe Dario Emre Farah Goran Hana Ivo Jun Kira Liam Mona Nadia Omar Priya".split()
# The templates: how the program begins, how the story does, what may follow in this order, and what is asked.
STORIES = """\
apples = {a} * {b}
{who} fills {a} crates with {b} apples each.
- Then {c} bad apples are thrown away.
+ A neighbour brings {c} more apples.
- At the market {c} apples are sold.
How many apples are there now?

savings = {b} * {a}
{who} saves {b} dollars a month for {a} months.
+ An aunt adds {c} dollars to that.
- The bank takes {c} dollars for its work.
- A book for {c} dollars is paid from the savings.
How many dollars does {who} have?

share = {b} / {a}
A team of {a}, one of them {who}, shares a prize of {b} dollars equally.
+ {who} adds {c} dollars of savings to the share.
* A year later {who} has {c} times as much.
- Then {who} pays {c} dollars for a ticket.
How many dollars does {who} have now?

bill = {b} * (100 - {a}) / 100
A shop sells a coat for {b} dollars, and {who} gets {a} percent off.
* {who} buys {c} of these coats.
+ Gift wrapping adds {c} dollars to the bill.
- A voucher takes {c} dollars off the bill.
How many dollars does {who} pay?

litres = {b} + {a}
A tank holds {b} litres of water, and {who} pumps in {a} litres more.
- The garden takes {c} litres.
+ The rain brings {c} litres.
- A leak loses {c} litres.
How many litres are in the tank then?

tiles = {a} * {b}
{who} plans a floor of {a} rows of {b} tiles.
* The same floor is laid in each of {c} flats.
- Of all the tiles needed, {c} are there already.
+ Besides, {c} spare tiles are bought.
How many tiles does {who} buy?
""".split("\n\n")

WRITTEN = """\
{head}

Problem: {problem}?

Program:
```python
{program}```
Answer: {number}"""
ASSIGNMENT = r"[A-Za-z_][A-Za-z0-9_]{0,40} = [A-Za-z0-9_+*/%(). -]{1,120}\n"


class MathWord(SkillInEnglish):
    name = "math_word"
    description = (
        "a word problem and a short program; computed, but whether the program means the words only a reader can judge"
    )
    head, longest = HEAD, LONGEST
    difficulties = range(1, 5)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        while True:
            line, opening, *steps, question = rng.choice(STORIES).splitlines()
            name = line.partition(" ")[0]
            # All different, for they are what the difficulty counts.
            first, *others = rng.sample(range(2, 20), difficulty)
            words = {"who": rng.choice(NAMES), "a": first, "b": rng.randint(100, 900)}
            said, lines = [opening], [line]
            for place, c in zip(sorted(rng.sample(range(len(steps)), difficulty - 1)), others, strict=True):
                sign, _, text = steps[place].partition(" ")
                said.append(text.replace("{c}", str(c)))
                lines.append(f"{name} = {name} {sign} {c}")
            prompt = f"{HEAD}\n\nProblem: {' '.join([*said, question])}".format(**words)
            program = "\n".join(lines).format(**words)
            result = _computed(program).number
            problem = Problem(prompt, f"Program:\n```python\n{program}\n```\nAnswer: {_plain(result)}")
            # Amounts of money that people have: nothing below zero, no parts of a cent.
            if result > 0 and math.isclose(result, round(result, 2)) and self.verify(problem).verified:
                return problem

    def space(self, difficulty: int) -> int:
        return 10**5  # the least of any difficulty, by names, numbers and stories: never a small one

    def ask(self, difficulty: int) -> str:
        numbers = f"{difficulty + 1}" if difficulty < 4 else "5 or more"
        return ASK.format(numbers=numbers, head=HEAD)

    def form(self, difficulty: int) -> str:
        return pattern(
            WRITTEN,
            head=literal(HEAD),
            problem=span(800),
            program=repeated(ASSIGNMENT, 1, 16),
            number=r"-?[0-9]{1,15}(\.[0-9]{1,9})?",
        )

    def parse(self, asked: str, text: str) -> Problem:
        if len(text) > LONGEST:
            raise Malformed("longer than any problem of this skill")
        start = text.find(HEAD)
        prompt = FORM.match(text, max(start, 0))
        if not prompt:
            raise Malformed("no problem in the form that was asked for")
        return Problem(prompt[0], text[prompt.end() :].strip())

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        return self.ask(self.difficulty(prompt)), f"{prompt}\n\n{completion}"

    def difficulty(self, prompt: str) -> int:
        found = len(_numbers(prompt))
        if found < 2:
            raise Malformed("a problem with fewer than two numbers")
        return min(found - 1, 4)

    def what_varies(self, prompt: str) -> frozenset[str]:
        """The sentences, whoever they are about: words that begin with a capital letter may be a name."""
        form = FORM.fullmatch(prompt)
        if not form:
            raise Malformed("not the form of a problem")
        nameless = WORD.sub(lambda word: "*" if word[0][0].isupper() else word[0], form[1])
        sentences = SENTENCE_END.split(SEVERAL_NAMES.sub("*", nameless))
        return frozenset(" ".join(sentence.casefold().split()) for sentence in sentences)

    def judge(self, problem: Problem) -> Verdict:
        self.difficulty(problem.prompt)
        return _judged(_numbers(problem.prompt), problem.completion)

    def said(self, completion: str) -> str | None:
        """The number, however it is written."""
        number = _stated(completion)
        return None if number is None else _plain(number)


def _plain(number: float) -> str:
    """A number in figures, the same for 3 and 3.0."""
    return str(int(number)) if number == int(number) else f"{number:.9f}".rstrip("0").rstrip(".")


def _value(figures: str) -> float:
    plain = figures.replace(",", "")
    return float(plain) if "." in plain else int(plain)


def _stated(answer: str) -> float | None:
    """The number on the last line of an answer, if there is one."""
    line = ANSWER.fullmatch(answer.rstrip().rpartition("\n")[2])
    return _value(line[1]) if line else None


def _numbers(prompt: str) -> set[float]:
    """The different numbers in a problem. Errors: Malformed."""
    form = FORM.fullmatch(prompt)
    if not form:
        raise Malformed("not the form of a problem: head, then one line that ends with a question mark")
    return {_value(figures) for figures in NUMBER.findall(form[1])}


def _judged(numbers: Set[float], answer: str) -> Verdict:
    """A verdict on the answer to a problem with these numbers. Errors: Malformed."""
    stated = _stated(answer)
    if stated is None:
        return Verdict(False, "no line `Answer: NUMBER` at the end")
    if "```" not in answer:
        return Verdict(False, "no program to check the answer by; a vote is needed", undecided=True)
    form = PROGRAM.fullmatch(answer)
    if not form or answer.count("```") != 2:
        return Verdict(False, "not the form of an answer: one program, then its result")
    result, used = _computed(form[1])
    if len(used & numbers) < 2:
        return Verdict(False, "the result does not hang on two numbers of the problem")
    if stated in used - numbers:
        return Verdict(False, "the program states the answer instead of computing it")
    exact = isinstance(result, int) and isinstance(stated, int)
    same = result == stated if exact else math.isclose(result, stated, rel_tol=TOLERANCE, abs_tol=SMALLEST)
    return Verdict(True, "the program's result") if same else Verdict(False, "not the program's result")


def _computed(program: str) -> Value:
    """The value of a program's last line. Errors: Malformed for anything but bounded arithmetic."""
    values: dict[str, Value] = {}
    last = None
    try:
        for line in ast.parse(program).body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = last = _evaluated(value, values)
                case _:
                    raise Malformed("a program that does more than assign numbers to names")
    except Malformed:
        raise
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        raise Malformed("a program that cannot be computed") from error
    if last is None:
        raise Malformed("a program that computes nothing")
    return last


def _evaluated(node: ast.expr, values: Mapping[str, Value]) -> Value:
    """The value of one expression. Errors: Malformed, ArithmeticError, RecursionError."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            value = Value(number, {number})
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _evaluated(operand, values)
            return Value(-inner.number, inner.used)
        case ast.BinOp(left=first, op=op, right=second) if type(op) in OPERATIONS:
            left, right = _evaluated(first, values), _evaluated(second, values)
            if isinstance(op, ast.Pow) and abs(right.number) > MOST_POWER:
                raise Malformed("a program with too large a power")
            value = Value(OPERATIONS[type(op)](left.number, right.number), left.used | right.used)
        case _:
            raise Malformed("a program of more than numbers, known names and arithmetic")
    # A negative number to a broken power is complex.
    if not isinstance(value.number, int | float) or not abs(value.number) <= LARGEST:
        raise Malformed("a program with a number that is too large, or none")
    return value
