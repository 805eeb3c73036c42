"""RunPod's own description of its API, as a judge of requests and answers. OpenAPI 3.1 is JSON Schema 2020-12."""

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.runpod.fake import Exchange


class Contract:
    def __init__(self, path: Path) -> None:
        self._document = json.loads(path.read_text())

    def violations(self, exchange: Exchange) -> list[str]:
        """What is wrong with a request or its answer; empty when both are as described."""
        template = self._template(exchange.path)
        if template is None:
            return [f"{exchange.path} is not in the API"]
        operation = self._document["paths"][template].get(exchange.method.lower())
        if operation is None:
            return [f"{template} has no {exchange.method}"]
        found = self._query(operation, self._document["paths"][template], exchange.query)
        if exchange.body is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            found += self._check(schema, exchange.body, "request")
        elif operation.get("requestBody", {}).get("required"):
            found.append("the request has no body")
        return [f"{exchange.method} {exchange.path}: {each}" for each in found + self._answer(operation, exchange)]

    def _template(self, path: str) -> str | None:
        """The path with the fewest parameters that matches, as OpenAPI prescribes."""
        fitting = [
            template
            for template in self._document["paths"]
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        ]
        return min(fitting, key=lambda template: template.count("{"), default=None)

    def _query(self, operation: dict[str, Any], item: dict[str, Any], query: dict[str, str]) -> list[str]:
        listed = [self._resolve(each) for each in [*operation.get("parameters", []), *item.get("parameters", [])]]
        known = {each["name"]: each for each in listed if each["in"] == "query"}
        found = [f"unknown query parameter {name}" for name in query.keys() - known.keys()]
        for name in query.keys() & known.keys():
            schema = self._resolve(known[name]["schema"])
            found += self._check(schema, _typed(query[name], schema), f"query {name}")
        return found

    def _answer(self, operation: dict[str, Any], exchange: Exchange) -> list[str]:
        described = operation["responses"].get(str(exchange.status)) or operation["responses"].get("default")
        if described is None:
            return [f"answers {exchange.status}, which is not described"]
        content = self._resolve(described).get("content", {})
        schema = next((each["schema"] for kind, each in content.items() if "json" in kind), None)
        if schema is None:
            return (
                [] if exchange.content is None else [f"answers {exchange.status} with a body, where none is described"]
            )
        return self._check(schema, exchange.content, f"answer {exchange.status}")

    def _check(self, schema: dict[str, Any], value: Any, what: str) -> list[str]:
        # The whole document comes along, so that "#/components/..." is found.
        validator = Draft202012Validator({"components": self._document["components"], **schema})
        return [f"{what} {error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node


def _typed(text: str, schema: dict[str, Any]) -> Any:
    if schema.get("type") == "array":
        return text.split(",")
    if schema.get("type") == "integer" and text.isdigit():
        return int(text)
    return text
