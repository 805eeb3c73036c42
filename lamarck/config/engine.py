"""How a model generates: one section for each kind of engine. Light: typed settings only."""

import ipaddress
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from lamarck.config.section import Section


class AnyEngine(Section):
    """What every engine's section says: the stages beside generation run on this machine."""

    threads: int = Field(
        1, ge=1, description="CPU threads of one job; the founder's pretraining uses `founder_threads`."
    )
    founder_threads: int = Field(1, ge=1, description="CPU threads of the founder's pretraining, which runs alone.")


Forms = Annotated[
    Literal["free", "enforced"],
    Field(
        description="enforced: where a skill's items have a form, a teacher can write nothing else. Needs a tokenizer "
        "whose tokens are pieces of text; a server must be vLLM's."
    ),
]


class HFEngineConfig(AnyEngine):
    circumstance: ClassVar[frozenset[str]] = frozenset({"founder_threads"})

    kind: Literal["hf"] = Field("hf", description="hf: transformers, on this machine.")
    batch_size: int = Field(256, ge=1, description="Prompts decoded together.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the weights while generating.")
    forms: Forms = "free"


class VLLMEngineConfig(AnyEngine):
    # How its answers are batched, and over how many GPUs, decides none of them.
    circumstance: ClassVar[frozenset[str]] = frozenset(
        {"founder_threads", "threads", "python", "tensor_parallel", "memory_share", "max_length", "batch_size"}
    )

    kind: Literal["vllm"] = Field(description="vllm: vLLM, on this machine, in an environment of its own.")
    python: str = Field(
        ".venv-vllm/bin/python", description="The Python of vLLM's environment; `make vllm` makes this one."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="Type of the weights, and of what is computed."
    )
    quantization: Literal["none", "fp8"] = Field(
        "none", description="fp8: the weights in 8 bits, one scale for each output, quantised while they are loaded."
    )
    tensor_parallel: int = Field(1, ge=1, description="GPUs that the model is split over.")
    memory_share: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Of each GPU's memory that vLLM takes. Without a GPU it is not used: there vLLM takes what the "
        "weights, its processes, and `batch_size` texts of `max_length` tokens need.",
    )
    max_length: int | None = Field(
        None, ge=1, description="Tokens of the longest prompt with its answer; the model's context when left out."
    )
    batch_size: int = Field(
        256, ge=1, description="Texts decoded side by side, at most: the memory of GPUs may allow fewer."
    )
    forms: Forms = "free"


class ServerEngineConfig(AnyEngine):
    # Where the server stands and how it is reached decide no answer.
    circumstance: ClassVar[frozenset[str]] = frozenset(
        {"founder_threads", "threads", "url", "concurrency", "timeout_seconds", "retries", "api_key_variable"}
    )

    kind: Literal["server"] = Field(description="server: any OpenAI-compatible server.")
    url: str = Field(description="Where its API begins, such as http://127.0.0.1:8000/v1.")
    model: str | None = Field(
        None,
        description="The name under which a foreign server has the weights: taken at its word, and the records say so. "
        "Left out, the server must list a name that ends with the digest of the weights, as `lamarck serve` does.",
    )
    chat: bool = Field(description="Ask through /chat/completions, as models with a chat template are taught.")
    forms: Forms = "free"
    concurrency: int = Field(64, ge=1, description="Requests side by side.")
    timeout_seconds: float = Field(600, gt=0, description="The longest wait for one answer.")
    retries: int = Field(6, ge=0, description="Of one request, after 429, 5xx or a broken connection.")
    api_key_variable: str | None = Field(
        None, pattern=r"^[A-Z_][A-Z0-9_]*$", description="Environment variable that holds the key; never the key."
    )

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it as http://HOST:PORT/v1 or https://HOST/v1")
        # Whatever stands in a URL ends up in logs and error messages.
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("it may hold no user, password or query: name the key's variable in api_key_variable")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _key_stays_secret(self) -> "ServerEngineConfig":
        parts = urlsplit(self.url)
        if self.api_key_variable and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("a key over plain http can be read on the way: use https, or an ssh tunnel to 127.0.0.1")
        return self


EngineConfig = Annotated[HFEngineConfig | VLLMEngineConfig | ServerEngineConfig, Field(discriminator="kind")]


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
