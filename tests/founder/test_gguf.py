"""A founder from a GGUF file: the model that was packed into it, up to what its blocks round away."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize

from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.founder.check import check_founder
from lamarck.founder.gguf import unpack_gguf
from lamarck.models.opening import open_model, open_tokenizer
from tests.models.families import CHATML, save_model

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def name_of(name: str) -> str:
    """transformers' name of a tensor -> llama.cpp's."""
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in plain:
        return plain[name]
    _, _, layer, rest = name.split(".", 3)
    part, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{NAMES[part]}.{kind}"


def pack(directory: Path, path: Path, kind: GGMLQuantizationType, architecture: str = "qwen2") -> None:
    """The model of `directory` as llama.cpp's converter writes it, matrices as `kind`."""
    model, tokenizer = open_model(directory), open_tokenizer(directory)
    config: Any = model.config
    writer = GGUFWriter(path, architecture)
    writer.add_name("A small one")
    writer.add_license("apache-2.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    content = yaml.safe_load(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token.startswith("<|") else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in content["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(CHATML)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        data = value.float().numpy()
        matrix = data.ndim > 1
        data = quantize(data, kind) if matrix else data.astype(np.float32)
        writer.add_tensor(name_of(name), data, raw_dtype=kind if matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the file, `model` is what went into it."""
    folder = tmp_path_factory.mktemp("gguf")
    save_model(folder / "model", "qwen2", settings={"tie_word_embeddings": True})
    pack(folder / "model", folder / "small.gguf", GGMLQuantizationType.Q8_0)
    return folder / "small.gguf"


def test_it_is_the_model_that_was_packed(packed: Path, tmp_path: Path) -> None:
    said = unpack_gguf(packed, tmp_path)
    assert said == {"name": "A small one", "license": "apache-2.0", "origin": None, "quantisation": ["Q8_0"]}
    before, after = open_model(packed.parent / "model").state_dict(), open_model(tmp_path).state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name].dtype == torch.bfloat16
        assert (after[name].float() - value).abs().max() <= 0.02 * value.abs().max(), name
    tokenizer = open_tokenizer(tmp_path)
    assert (tokenizer.eos_token, tokenizer.chat_template) == ("<|im_end|>", CHATML)
    assert check_founder(tmp_path).ends == ["<|im_end|>"]
    assert str(packed.parent) not in "".join(path.read_text() for path in tmp_path.glob("*.json"))


def test_the_stage_records_licence_and_origin(packed: Path, tmp_path: Path) -> None:
    """What the file says goes before what the configuration adds. Twice made, it is the same founder."""
    config = yaml.safe_load(Path("config/default.yaml").read_text())
    config["founder"] = {"kind": "gguf", "path": str(packed), "license": "mit", "origin": "a test"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "lamarck.founder", "--config", str(tmp_path / "config.yaml"), "--output"]
    subprocess.run([*command, str(tmp_path / "weights")], check=True, capture_output=True)
    source = read_json(tmp_path / "weights/source.json")
    assert (source["kind"], source["license"], source["origin"]) == ("gguf", "apache-2.0", "a test")
    unpack_gguf(packed, (again := tmp_path / "again"))
    for name, digest in source["files"].items():
        assert (again / name).exists(), (name, digest)
        assert (again / name).read_bytes() == (tmp_path / "weights" / name).read_bytes()


def test_what_cannot_be_unpacked_is_one_sentence(packed: Path, tmp_path: Path) -> None:
    cut, other, text = tmp_path / "cut.gguf", tmp_path / "other.gguf", tmp_path / "text.gguf"
    cut.write_bytes(packed.read_bytes()[:3000])
    text.write_text("version https://git-lfs.github.com/spec/v1\n")
    pack(packed.parent / "model", other, GGMLQuantizationType.Q8_0, architecture="never-heard-of")
    for path, sentence in (
        (cut, "does not open as a GGUF model"),
        (other, r"does not open as a.* model: .*never-heard-of"),
        (text, "is not a GGUF file"),
        (tmp_path / "none.gguf", "does not exist: set founder.path"),
    ):
        with pytest.raises(LamarckError, match=sentence) as refused:
            unpack_gguf(path, tmp_path / "out")
        assert "\n" not in str(refused.value)
