"""Differences between states: lossless for every type, small where little changed, refused for another state."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lamarck.errors import LamarckError
from lamarck.models.delta import (
    Facts,
    OpenTensors,
    apply_delta,
    changed_bytes,
    read_delta,
    read_facts,
    state_digest,
    write_delta,
)

State = dict[str, torch.Tensor]
TYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.int64, torch.bool]


def state_of(dtype: torch.dtype, rows: int = 50, columns: int = 30) -> State:
    generator = torch.Generator().manual_seed(0)
    return {
        "matrix": torch.randn(rows, columns, generator=generator).to(dtype),
        "vector": torch.randn(columns, generator=generator).to(dtype),
        "number": torch.tensor(3).to(dtype),
        "nothing": torch.zeros(0, 4).to(dtype),
    }


def changed(state: State, share: float, seed: int = 1) -> State:
    """Some elements of the matrix are others: any bits at all, signs, zeros and NaN among them."""
    matrix = state["matrix"]
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(matrix.shape, generator=generator) < share
    other = (100 * torch.randn(matrix.shape, generator=generator)).to(matrix.dtype)
    if matrix.is_floating_point():
        other[:3] = torch.tensor([-0.0, float("nan"), 0.0]).to(matrix.dtype)[:, None]
    return state | {"matrix": torch.where(chosen, other, matrix)}


def same(first: State, second: State) -> bool:
    return state_digest(first) == state_digest(second)


def write(path: Path, base: State, new: State) -> int:
    return write_delta(path, base, new, Facts(kind="delta", base=state_digest(base), result=state_digest(new)))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_is_read_is_what_was_written(dtype: torch.dtype, share: float, tmp_path: Path) -> None:
    base = state_of(dtype)
    new = changed(base, share)
    before = state_digest(base)
    write(tmp_path / "delta", base, new)
    found = read_delta(tmp_path / "delta", base)
    assert same(found, new)
    assert {name: (t.dtype, t.shape) for name, t in found.items()} == {n: (t.dtype, t.shape) for n, t in new.items()}
    assert state_digest(base) == before


def test_every_sixteen_bit_number_can_become_every_other(tmp_path: Path) -> None:
    """All 65,536 of them, in an order by chance; a matrix of zeros beside them keeps the tensor sparse."""
    numbers = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16)
    mixed = numbers[torch.randperm(1 << 16, generator=torch.Generator().manual_seed(0))]
    padding = torch.zeros(1 << 17, dtype=torch.int16)
    base = {"w": torch.cat([numbers, padding]).view(torch.bfloat16)}
    new = {"w": torch.cat([mixed, padding]).view(torch.bfloat16)}
    write(tmp_path / "delta", base, new)
    assert read_facts(tmp_path / "delta").patches["w"].changed > 65_000
    assert same(read_delta(tmp_path / "delta", base), new)


def test_tensors_come_go_and_change_their_shape(tmp_path: Path) -> None:
    base = state_of(torch.float32)
    new = {"matrix": base["matrix"][:40], "vector": base["vector"].to(torch.bfloat16), "new/whole": torch.ones(3)}
    write(tmp_path / "delta", base, new)
    assert same(read_delta(tmp_path / "delta", base), new)


def test_neighbouring_numbers_take_little(tmp_path: Path) -> None:
    """One of a hundred weights moves to the next number: 8.1 bits for the place, at the least, and 1 for the side."""
    generator = torch.Generator().manual_seed(0)
    base = {"w": torch.randn(1000, 1000, generator=generator).to(torch.bfloat16)}
    chosen = torch.rand(1000, 1000, generator=generator) < 0.01
    sides = torch.where(torch.rand(1000, 1000, generator=generator) < 0.5, 1, -1).to(torch.int16)
    new = {"w": (base["w"].view(torch.int16) + sides * chosen).view(torch.bfloat16)}
    size = write(tmp_path / "delta", base, new)
    least = int(chosen.sum()) * (8.08 + 1) / 8
    assert least < size < 1.25 * least
    blocks = (base["w"].view(torch.int16) != new["w"].view(torch.int16)).flatten().split(2048)
    assert sum(4096 for block in blocks if block.any()) > 100 * size
    assert changed_bytes(base, new) == pytest.approx(2 * int(chosen.sum()), abs=2)


def test_the_same_difference_is_the_same_bytes(tmp_path: Path) -> None:
    base = state_of(torch.bfloat16)
    for name in ("one", "two"):
        write(tmp_path / name, base, changed(base, 0.1))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_founder_in_several_files_is_a_base(tmp_path: Path) -> None:
    base = state_of(torch.bfloat16)
    del base["nothing"]
    save_file({"matrix": base["matrix"]}, tmp_path / "a.safetensors")
    save_file({"vector": base["vector"], "number": base["number"]}, tmp_path / "b.safetensors")
    founder = OpenTensors(sorted(tmp_path.glob("*.safetensors")))
    assert state_digest(founder) == state_digest(base)
    new = changed(base, 0.1)
    write_delta(
        tmp_path / "delta", founder, new, Facts(kind="delta", base=state_digest(founder), result=state_digest(new))
    )
    assert same(read_delta(tmp_path / "delta", founder), new)


def test_a_digest_sees_names_types_shapes_and_bits() -> None:
    base = state_of(torch.float32)
    others = [
        {"renamed" if name == "vector" else name: tensor for name, tensor in base.items()},
        base | {"vector": base["vector"].view(torch.int32)},
        base | {"matrix": base["matrix"].view(30, 50)},
        base | {"number": torch.tensor(-3.0)},
        {name: base[name] for name in ("matrix", "vector", "number")},
    ]
    assert len({state_digest(state) for state in [base, *others]}) == 6
    assert state_digest(dict(reversed(base.items()))) == state_digest(base)


def test_a_difference_to_another_base_is_refused(tmp_path: Path) -> None:
    base = state_of(torch.bfloat16)
    write(tmp_path / "delta", base, changed(base, 0.1))
    other = changed(base, 0.001, seed=5)
    with pytest.raises(LamarckError, match=r"is a difference to the weights .* apply it to those it was made from$"):
        read_delta(tmp_path / "delta", other)
    # Applied all the same, it would be a model that never was: nothing in it would say so.
    assert not same(apply_delta(tmp_path / "delta", other), changed(base, 0.1))


def test_every_damaged_byte_is_seen(tmp_path: Path) -> None:
    base = state_of(torch.bfloat16, 8, 8)
    path = tmp_path / "delta"
    write(path, base, changed(base, 0.2))
    whole, expected = path.read_bytes(), state_digest(changed(base, 0.2))
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        try:
            found = read_delta(path, base)
        except LamarckError:
            continue
        assert state_digest(found) == expected  # a note, or padding of zlib's: nothing that counts
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(LamarckError, match=r"is damaged|no full state"):
            read_delta(path, base)


def test_other_files_are_no_difference(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "weights")
    with pytest.raises(LamarckError, match="nor a difference that lamarck wrote"):
        read_facts(tmp_path / "weights")
    with pytest.raises(LamarckError, match="does not exist"):
        read_facts(tmp_path / "missing")
    assert load_file(tmp_path / "weights")["w"].tolist() == [1, 1]
