"""What clients may ask, in OpenAI's words, and how they are refused. A parameter that would be ignored is an error."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.responses import JSONResponse

# Fields that only have one value here: accepted, because clients send them, as long as they change nothing.
One = Annotated[int, Field(ge=1, le=1)]
Zero = Annotated[float, Field(ge=0, le=0)]
MOST_PROMPTS = 256  # of one request
MOST_STOPS = 32  # OpenAI takes 4; evaluations send more
MOST_ALTERNATIVES = 5  # of a token that is scored
SEED = 2**63  # seeds are whole numbers of 64 bits
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Refusal(Exception):
    """An answer of no: an HTTP status and OpenAI's error body."""

    def __init__(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers)


class RequestPart(BaseModel):
    """Of a request. Clients send null for what they do not set: it means the default, whatever the field."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class StreamOptions(RequestPart):
    include_usage: bool = False


class AnyRequest(RequestPart):
    """What both kinds of request share."""

    model: str
    max_tokens: int | None = Field(None, ge=0)
    temperature: float = Field(1.0, ge=0, le=2, allow_inf_nan=False)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=-SEED, lt=SEED)
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    n: One = 1
    presence_penalty: Zero = 0
    frequency_penalty: Zero = 0

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(AnyRequest):
    """`echo` with `logprobs` and `max_tokens: 0` or `1` scores prompts; that is the only use of the two."""

    prompt: (
        str
        | Annotated[list[str], Field(min_length=1, max_length=MOST_PROMPTS)]
        | Annotated[list[int], Field(min_length=1)]
        | Annotated[list[Annotated[list[int], Field(min_length=1)]], Field(min_length=1, max_length=MOST_PROMPTS)]
    )
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    best_of: One = 1

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """One entry a choice: texts, or token ids."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        return [prompt] if isinstance(prompt[0], int) else prompt


class TextPart(RequestPart):
    type: Literal["text"]
    text: str


class Message(RequestPart):
    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart]

    def plain(self) -> dict[str, str]:
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


class ChatRequest(AnyRequest):
    messages: list[Message] = Field(min_length=1)
    logprobs: Literal[False] = False
    max_completion_tokens: int | None = Field(None, ge=1)


R = TypeVar("R", bound=AnyRequest)


def parse(body: bytes, kind: type[R]) -> R:
    """Errors: Refusal that names the first field that is wrong."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        unknown = first["type"] == "extra_forbidden"
        message = f"{place}: not supported here" if unknown else f"{place}: {first['msg']}"
        raise Refusal(400, message, "invalid_value") from error
