"""The vocabulary of a merge: which row of which model's embedding belongs to which token of the output."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.errors import LamarckError
from lamarck.files import canonical_json, read_json, write_text
from lamarck.merge.weights import ModelView

if TYPE_CHECKING:
    from torch import Tensor

# What a tokenizer consists of, in a model directory.
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """The output's tokens, and where they come from.

    `rows[model][i]`: the row of that model's embedding for the output's row i, -1 where it has no such token.
    `rows` None: embeddings are merged as they are.
    """

    tokens: dict[str, int] | None
    tokenizer: str  # the model whose tokenizer files the output gets
    union: tuple[str, ...] = ()  # models whose further tokens are added to it
    rows: dict[str, list[int]] | None = None

    @property
    def size(self) -> int | None:
        """Rows of the output's embedding; None where they are as many as the models'."""
        return None if self.rows is None or self.tokens is None else max(self.tokens.values()) + 1

    def unknown(self) -> list[str]:
        """Tokens that no model has a row for: theirs is zero."""
        if self.rows is None or self.tokens is None:
            return []
        lists = list(self.rows.values())
        return [token for token, row in self.tokens.items() if all(rows[row] < 0 for rows in lists)]


def plan_vocabulary(name: str, source: str | None, models: dict[str, ModelView], main: str) -> Vocabulary:
    """The vocabulary of the document `name`. `models` holds those that are merged, `main` (the base, or the first)
    among them, and the one that `source` names.

    Errors: LamarckError where tokenizers differ and `source` does not say which one counts, or one cannot be read.
    """
    if source is None:
        own = models[main].vocabulary
        for model in models.values():
            if None not in (own, model.vocabulary) and model.vocabulary != own:
                raise LamarckError(
                    f"{name}: the tokenizers of {main} and {model.name} differ: say tokenizer_source: base, union or "
                    "a model"
                )
        return Vocabulary(own, main)
    chosen = main if source in ("base", "union") else source
    merged = {key: model for key, model in models.items() if model.tensors}
    if all(model.vocabulary is None and model.directory is None for model in models.values()):
        return Vocabulary(None, chosen)  # planned without a single tokenizer: taken to be equal
    for model in models.values():
        if model.vocabulary is None:
            raise LamarckError(f"{name}: {model.name} has no tokenizer.json, which tokenizer_source: {source} needs")
    tokens = dict(models[chosen].vocabulary or {})
    others = tuple(key for key in merged if key != chosen) if source == "union" else ()
    if source == "union":
        for key in others:
            vocabulary = merged[key].vocabulary or {}
            for token in sorted(vocabulary.keys() - tokens.keys(), key=vocabulary.__getitem__):
                tokens[token] = max(tokens.values()) + 1
    size = max(tokens.values()) + 1
    rows = {}
    for key, model in merged.items():
        rows[key] = [-1] * size
        for token, row in tokens.items():
            rows[key][row] = (model.vocabulary or {}).get(token, -1)
    return Vocabulary(tokens, chosen, others, rows)


def missing_rows(vocabulary: Vocabulary, base: str | None) -> dict[str, list[int]]:
    """For each row of the output that some model lacks, the models that give it: the base, else all that have it."""
    assert vocabulary.rows is not None
    given: dict[int, list[str]] = {}
    for row in range(vocabulary.size or 0):
        owners = [key for key, rows in vocabulary.rows.items() if rows[row] >= 0]
        if 0 < len(owners) < len(vocabulary.rows):
            given[row] = [base] if base in owners else owners
    by_model: dict[str, list[int]] = {key: [] for key in vocabulary.rows}
    for row, owners in given.items():
        for owner in owners:
            by_model[owner].append(row)
    return {key: rows for key, rows in by_model.items() if rows}


def arranged(tensor: "Tensor", rows: list[int], filling: "Tensor | None") -> "Tensor":
    """An embedding in the output's order: [vocabulary of the model, width] -> [of the output, width].

    `filling` gives the rows that the model lacks, zero where nobody has one; None where it lacks none.
    """
    import torch

    from lamarck.merge.blocks import row_blocks

    if rows == list(range(len(tensor))):
        return tensor
    index = torch.tensor(rows)
    if filling is None:
        return tensor.index_select(0, index)
    result = filling.clone()
    known = (index >= 0).nonzero().view(-1)
    # In parts: the selected rows are never a second whole tensor.
    for part in row_blocks(len(known), tensor.shape[1]):
        result[known[part]] = tensor.index_select(0, index[known[part]])
    return result


def write_tokenizer(vocabulary: Vocabulary, directories: dict[str, Path], output: Path) -> None:
    """Put the tokenizer's files into `output`; for a union, with the tokens of the others added."""
    source = directories[vocabulary.tokenizer]
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, output / name)
    if not vocabulary.union:
        return
    tokenizer = read_json(source / "tokenizer.json")
    for name in vocabulary.union:
        _add_tokens(tokenizer, read_json(directories[name] / "tokenizer.json"), vocabulary)
    write_text(output / "tokenizer.json", json.dumps(tokenizer, ensure_ascii=False))
    for name in ("vocab.json", "vocab.txt", "merges.txt", "added_tokens.json", "tokenizer.model"):
        (output / name).unlink(missing_ok=True)  # they describe the base's alone


def _add_tokens(tokenizer: dict[str, Any], other: dict[str, Any], vocabulary: Vocabulary) -> None:
    """Add to a tokenizer.json what only `other` has: words, their merges, and added tokens."""
    assert vocabulary.tokens is not None
    model, theirs = tokenizer["model"], other["model"]
    added = {entry["content"] for entry in tokenizer["added_tokens"]}
    for entry in other["added_tokens"]:
        if entry["content"] not in added and entry["content"] not in model["vocab"]:
            tokenizer["added_tokens"].append({**entry, "id": vocabulary.tokens[entry["content"]]})
            added.add(entry["content"])
    if isinstance(model["vocab"], list) or isinstance(theirs["vocab"], list):
        raise LamarckError("tokenizer_source: union does not merge Unigram vocabularies: choose base or a model")
    for token in sorted(theirs["vocab"], key=theirs["vocab"].__getitem__):
        if token not in added:
            model["vocab"].setdefault(token, vocabulary.tokens[token])
    known = {json.dumps(merge) for merge in model.get("merges", [])}
    model_merges = [merge for merge in theirs.get("merges", []) if json.dumps(merge) not in known]
    if "merges" in model:
        model["merges"] += model_merges


def adapt_config(config: dict[str, Any], size: int | None, kind: str) -> dict[str, Any]:
    """config.json of the output: its vocabulary's size and its dtype."""
    adapted = {key: value for key, value in config.items() if key != "torch_dtype"} | {"dtype": kind}
    if size is not None:
        adapted["vocab_size"] = size
    return adapted


def write_config(config: dict[str, Any], output: Path) -> None:
    write_text(output / "config.json", canonical_json(config))
