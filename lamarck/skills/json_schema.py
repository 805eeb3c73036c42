"""json_schema: write a record, given as labelled lines, as JSON that fits its schema. For models that read English.

The schema (draft 2020-12, json-schema.org) decides types, formats and names; the record says the values as people write
them: `1,250`, `yes`, `5 March 2024`, `red; blue`. Difficulty 1 to 5: two fields more each, from 3 on with nested
objects, from 4 on with fields that the record leaves out or calls unknown.
"""

import datetime
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from lamarck import strict_json
from lamarck.skills.base import Malformed, Problem, SkillInEnglish, Verdict
from lamarck.skills.forms import literal, pattern, repeated, span
from lamarck.skills.record_templates import FIELDS, INNER, MONTHS, NESTS, NOTES, UNKNOWN, value_of

HEAD = "Write this record as one JSON object that fits the schema. Answer with the JSON alone."
SCHEMA, RECORD = "Schema: ", "Record:"
LONGEST = 8192  # characters of a problem with its answer

# What a teacher is asked, by difficulty. The example has none of the suite's fields.
ASK = """\
Write one training problem for a model that learns to write JSON, and its right answer. The problem has {fields} \
fields in all{more}. Use this form exactly, with a domain, names and values of your own:

{head}

Schema: {{"type": "object", "properties": {{"boiling_point": {{"type": "number"}}, "noble": {{"type": "boolean"}}}}, \
"required": ["boiling_point", "noble"], "additionalProperties": false}}

Record:
- boiling point: -246.05
- noble: yes

Answer:
{{"boiling_point": -246.05, "noble": true}}

Rules: the schema stands on one line. A field is {{"type": "string"}}, {{"type": "string", "format": "date"}}, \
{{"type": "string", "enum": [...]}}, {{"type": "integer"}}, {{"type": "number"}}, {{"type": "boolean"}} or \
{{"type": "array", "items": {{"type": "string"}}}}, and "required" names all fields. A record's line has the field's \
name with spaces for underscores, a colon, and the value: dates as 5 March 2024, booleans as yes or no, integers with \
commas between thousands, an enum's value in any case, a list's entries parted by semicolons.{rules} Write nothing \
else."""
NESTED = (
    ' One field is {"type": "object"} with "properties", "required" and "additionalProperties" of its own; its lines '
    "are called `outer name / inner name`."
)
NULLABLE = (
    ' One field has the type ["string", "null"]; where its value is unknown the record says so and the answer has null.'
)

WRITTEN = """\
{head}

Schema: {schema}

Record:
{record}
Answer:
{answer}"""


class JsonSchema(SkillInEnglish):
    name = "json_schema"
    description = "a record as JSON that fits a schema; compared with the schema's types and the record's values"
    head, longest = HEAD, LONGEST
    difficulties = range(1, 6)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        names = rng.sample(list(FIELDS), 2 * difficulty)
        properties = {name: FIELDS[name] for name in names}
        if difficulty >= 3:
            inner = {name: INNER[name] for name in rng.sample(list(INNER), 3)}
            properties[rng.choice(NESTS)] = _closed(inner)
        if difficulty >= 4:
            properties[rng.choice(NOTES)] = {"type": ["string", "null"]}
        schema = _closed(properties)
        lines = [(path, value_of(rng, path[-1], kind)) for path, kind in _leaves(schema)]
        if difficulty >= 3:  # the record need not follow the schema's order
            rng.shuffle(lines)
        prompt = _prompt(schema, {" / ".join(_label(name) for name in path): said for path, said in lines})
        return Problem(prompt, json.dumps(_answer(prompt)))

    def space(self, difficulty: int) -> int:
        return 10**12  # every record has free values: never a small one

    def ask(self, difficulty: int) -> str:
        more = ", one of them an object" * (difficulty >= 3) + " and one of them unknown" * (difficulty >= 4)
        rules = NESTED * (difficulty >= 3) + NULLABLE * (difficulty >= 4)
        return ASK.format(fields=_count(difficulty), more=more, head=HEAD, rules=rules)

    def form(self, difficulty: int) -> str:
        return pattern(
            WRITTEN,
            head=literal(HEAD),
            schema=rf"\{{{span(4000)}\}}",
            record=repeated(rf"- {span(100)}: {span(300)}\n", _count(difficulty), 40),
            answer=rf"\{{{span(3000)}\}}",
        )

    def parse(self, asked: str, text: str) -> Problem:
        if len(text) > LONGEST:
            raise Malformed("longer than any problem of this skill")
        start, end = text.find(HEAD), text.rfind("\nAnswer:")
        if start < 0 or end < start:
            raise Malformed("no problem and answer in the form that was asked for")
        return Problem(text[start:end].strip(), text[end:].removeprefix("\nAnswer:").strip())

    def difficulty(self, prompt: str) -> int:
        schema, _ = _read(prompt)
        kinds = [kind for _, kind in _leaves(schema)]
        fields = len(schema["properties"])
        found = [each for each in self.difficulties if _count(each) == fields]
        nested = len(kinds) > fields
        unknown = any(kind["type"] == ["string", "null"] for kind in kinds)
        if not found or nested != (found[0] >= 3) or unknown != (found[0] >= 4):
            raise Malformed("fields that are of no difficulty")
        return found[0]

    def what_varies(self, prompt: str) -> frozenset[str]:
        """The lines of the record, with their names: those are the answer's keys."""
        _, record = _read(prompt)
        return frozenset(" ".join(f"{label}: {said}".casefold().split()) for label, said in record.items())

    def judge(self, problem: Problem) -> Verdict:
        self.difficulty(problem.prompt)
        right = _answer(problem.prompt)
        try:
            given = strict_json.loads(problem.completion)
        except (ValueError, RecursionError):
            return Verdict(False, "no JSON")
        # The order of keys means nothing in JSON; true is not 1, and 1 is 1.0 for numbers alone.
        same = _canonical(given) == _canonical(right)
        return Verdict(True, "exact") if same else Verdict(False, "not the record's values in the schema's types")


def _count(difficulty: int) -> int:
    """Fields of the outermost object."""
    return 2 * difficulty + (difficulty >= 3) + (difficulty >= 4)


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _label(name: str) -> str:
    return name.replace("_", " ")


def _prompt(schema: Mapping[str, Any], record: Mapping[str, str]) -> str:
    lines = "\n".join(f"- {label}: {said}" for label, said in record.items())
    return f"{HEAD}\n\n{SCHEMA}{json.dumps(schema)}\n\n{RECORD}\n{lines}"


def _read(prompt: str) -> tuple[dict[str, Any], dict[str, str]]:
    """(schema, label -> what the record says). Errors: Malformed, also for a schema with more than is asked for."""
    parts = prompt.split("\n\n")
    if len(parts) != 3 or parts[0] != HEAD or not parts[1].startswith(SCHEMA) or not parts[2].startswith(RECORD + "\n"):
        raise Malformed("not the form of a problem: head, schema, record")
    try:
        schema = strict_json.loads(parts[1].removeprefix(SCHEMA))
    except (ValueError, RecursionError) as error:
        raise Malformed("a schema that is no JSON") from error
    record: dict[str, str] = {}
    for line in parts[2].splitlines()[1:]:
        label, colon, said = line.removeprefix("- ").partition(": ")
        if not line.startswith("- ") or not colon or label in record or not said.strip():
            raise Malformed("a record's line that is not `- label: value`, or stands twice")
        record[label] = said.strip()
    leaves = _leaves(schema)
    if {" / ".join(_label(name) for name in path) for path, _ in leaves} != record.keys():
        raise Malformed("a record whose labels are not those of the schema")
    return schema, record


def _leaves(schema: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Path and schema of every value. Errors: Malformed for anything but the closed objects and kinds asked for."""
    if not isinstance(schema, dict):
        raise Malformed("a schema that is no object")
    if schema.get("type") != "object":
        if _kind(schema) is None:
            raise Malformed("a field of a kind that was not asked for")
        return [(path, schema)]
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties or len(path) > 1:
        raise Malformed("an object without properties, or too deep")
    if schema != _closed(properties):
        raise Malformed("an object that is not closed, or does not require all of its fields")
    return [leaf for name, inner in properties.items() for leaf in _leaves(inner, (*path, name))]


def _kind(schema: Mapping[str, Any]) -> Callable[[str, Mapping[str, Any]], Any] | None:
    """How a value of this schema is read."""
    rest = {key: value for key, value in schema.items() if key not in ("type", "enum")}
    kind = schema.get("type")
    if kind == "string" and isinstance(schema.get("enum"), list):
        folded = [each.casefold() for each in schema["enum"] if isinstance(each, str)]
        distinct = len(set(folded)) == len(schema["enum"]) > 1
        return _enum if distinct and not rest else None
    known: list[tuple[dict[str, Any], Callable[[str, Mapping[str, Any]], Any]]] = [
        ({"type": "string"}, lambda said, _: said),
        ({"type": "string", "format": "date"}, lambda said, _: _date(said)),
        ({"type": ["string", "null"]}, lambda said, _: None if said.casefold() == UNKNOWN else said),
        ({"type": "integer"}, lambda said, _: _integer(said)),
        ({"type": "number"}, lambda said, _: _number(said)),
        ({"type": "boolean"}, lambda said, _: _boolean(said)),
        ({"type": "array", "items": {"type": "string"}}, lambda said, _: [each.strip() for each in said.split(";")]),
    ]
    return next((read for each, read in known if each == schema), None)


def _answer(prompt: str) -> dict[str, Any]:
    """The one right answer. Errors: Malformed where a value cannot be read as its field's kind."""
    schema, record = _read(prompt)
    answer: dict[str, Any] = {}
    for path, kind in _leaves(schema):
        read = _kind(kind)
        assert read
        inner = answer
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = read(record[" / ".join(_label(name) for name in path)], kind)
    return answer


def _enum(said: str, kind: Mapping[str, Any]) -> str:
    for value in kind["enum"]:
        if value.casefold() == said.casefold():
            return str(value)
    raise Malformed("a value that the enum has not")


def _date(said: str) -> str:
    day, _, rest = said.partition(" ")
    month, _, year = rest.partition(" ")
    try:
        return datetime.date(int(year), MONTHS.index(month) + 1, int(day)).isoformat()
    except ValueError as error:
        raise Malformed("a date that is not like 5 March 2024") from error


def _integer(said: str) -> int:
    try:
        value = int(said.replace(",", ""))
    except ValueError as error:
        raise Malformed("an integer that is none") from error
    if said not in (f"{value:,}", str(value)):
        raise Malformed("an integer that is written in another way")
    return value


def _number(said: str) -> float:
    try:
        value = strict_json.loads(said)
    except ValueError as error:
        raise Malformed("a number that is none") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed("a number that is none")
    return value


def _boolean(said: str) -> bool:
    if said not in ("yes", "no"):
        raise Malformed("a boolean that is neither yes nor no")
    return said == "yes"


def _canonical(value: Any) -> str:
    """Equal for equal JSON values. Numbers by value; everything else by type and value."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)
