"""What a new part must be so that it changes nothing until it has learned: the value of each such tensor."""

import re

# Whatever writes to the stream is 0; factors are 1; what steers a gate, a router or another pass is 0.
QUIET: dict[str, float] = {
    r"\.(o_proj|down_proj|out_proj)(\.weight)?$": 0.0,
    r"\.memory\d+\.scale$": 0.0,
    r"\.attn\.gate\.weight$": 0.0,
    r"\.router\.logits\.weight$": 0.0,
    r"\.mix$": 0.0,
    r"\.(layer_scale|gated)\.\w+$": 1.0,
}
WRITERS = re.compile(r"\.(o_proj|down_proj|out_proj)(\.weight)?$|\.memory\d+\.scale$")


def quiet_value(name: str) -> float | None:
    """Of the tensor of that name in a model; None: it may be anything."""
    return next((value for pattern, value in QUIET.items() if re.search(pattern, name)), None)


def writes(name: str) -> bool:
    """Whether the tensor of that name is what its branch last multiplies with before it adds to the stream."""
    return bool(WRITERS.search(name))
