"""An agent behind a URL: an OpenAI-compatible server that writes the whole file anew. `lamarck serve` is one."""

import os
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from lamarck.errors import LamarckError
from lamarck.ratchet.agents.command import redacted
from lamarck.ratchet.agents.proposal import AgentContext, AgentFailed, Proposal, told
from lamarck.ratchet.file import ServerAgent
from lamarck.visible import visible

BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
FORM = """\
Answer with one line that says what you change, then the whole new content of {name} in one block:
```
...
```"""


class _AgentMessage(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _AgentMessage


class _Answer(BaseModel):
    choices: tuple[_Choice, ...]


class Server:
    """Errors: LamarckError, on construction, where the variable of the key is not set."""

    def __init__(self, settings: ServerAgent) -> None:
        self._settings = settings
        self._headers = {}
        if variable := settings.api_key_variable:
            if not os.environ.get(variable):
                raise LamarckError(f"agent.api_key_variable names {variable}, which is not set: export it")
            self._headers = {"Authorization": f"Bearer {os.environ[variable]}"}

    def propose(self, context: AgentContext) -> Proposal:
        """The first mutable file, rewritten. Errors: AgentFailed where the server does not answer, or with no file."""
        name = next(iter(context.files))
        known = context.program.encode()  # it is told in words
        fixed = {each: content for each, content in context.fixed.items() if content != known}
        shown = {**fixed, **context.files, **context.failed}
        files = "\n\n".join(f"{each}:\n```\n{content.decode(errors='replace')}\n```" for each, content in shown.items())
        prompt = f"{told(context)}\n{files}\n\n{FORM.format(name=name)}"
        text = redacted(self._ask(prompt))
        blocks = BLOCK.findall(text)
        if len(blocks) != 1:
            raise AgentFailed(f"the agent answered with {len(blocks)} blocks of code instead of one")
        line = next((each.strip() for each in text.splitlines() if each.strip()), "")
        description = "no description" if line.startswith("```") else visible(line, 200)
        return Proposal({**context.files, name: blocks[0].encode()}, description)

    def _ask(self, prompt: str) -> str:
        import httpx2  # a fifth of a second

        body: dict[str, Any] = {
            "model": self._settings.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self._settings.temperature,
        }
        if self._settings.max_tokens is not None:
            body["max_tokens"] = self._settings.max_tokens
        url = f"{self._settings.url.rstrip('/')}/chat/completions"
        try:
            response = httpx2.post(url, json=body, headers=self._headers, timeout=self._settings.timeout_seconds)
            if response.is_error:
                said = visible(redacted(response.text), 300)
                raise AgentFailed(f"the agent's server refused, with {response.status_code}: {said}")
            answer = _Answer.model_validate_json(response.content)
        except httpx2.HTTPError as error:
            raise AgentFailed(f"the agent's server did not answer: {visible(redacted(str(error)), 200)}") from error
        except ValidationError as error:
            raise AgentFailed("the agent's server answered with something else than a chat completion") from error
        if not answer.choices or not answer.choices[0].message.content:
            raise AgentFailed("the agent's server answered with nothing")
        return answer.choices[0].message.content
