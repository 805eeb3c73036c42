# Stands for the frozen tests with sha256 3cc040135a24e2076ba5af90a91252f012d967f8f71ea763de2b36e548adef93
import torch
from examiner import ask, close, equal, refuses

NAMES = ("input_ids", "labels", "position_ids", "segment_ids")


def examples(*sizes):
    made, token = [], 100
    for prompt, response in sizes:
        ids = list(range(token, token + prompt + response))
        made.append({"prompt": ids[:prompt], "response": ids[prompt:]})
        token += 100
    return made


def packed(given, length, padding):
    """The batch, after looking that it is one."""
    batch = ask("pack(given, length, padding)", given=given, length=length, padding=padding)
    assert type(batch) is dict and set(batch) == set(NAMES)
    shapes = {each.shape for each in batch.values()}
    assert len(shapes) == 1 and shapes.pop()[1:] == (length,)
    assert all(each.dtype == torch.int64 for each in batch.values())
    return batch


def test_layout():
    given = examples((2, 3), (1, 1), (3, 2), (0, 2), (1, 2))
    kept = ask("import copy\nbefore = copy.deepcopy(given)\npack(given, 8, 7)\ngiven == before", given=given)
    batch = packed(given, 8, 7)
    assert kept is True
    assert batch["input_ids"].tolist() == [
        [100, 101, 102, 103, 104, 200, 201, 7],
        [300, 301, 302, 303, 304, 400, 401, 7],
        [500, 501, 502, 7, 7, 7, 7, 7],
    ]
    assert batch["labels"].tolist() == [
        [-100, -100, 102, 103, 104, -100, 201, -100],
        [-100, -100, -100, 303, 304, -100, 401, -100],
        [-100, 501, 502, -100, -100, -100, -100, -100],
    ]
    places = [[0, 1, 2, 3, 4, 0, 1, 0], [0, 1, 2, 3, 4, 0, 1, 0], [0, 1, 2, 0, 0, 0, 0, 0]]
    assert batch["position_ids"].tolist() == places
    assert batch["segment_ids"].tolist() == [
        [1, 1, 1, 1, 1, 2, 2, 0],
        [1, 1, 1, 1, 1, 2, 2, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
    ]


def test_first_fit_goes_back():
    batch = packed(examples((0, 5), (0, 6), (0, 2), (0, 3), (0, 1), (0, 1)), 8, 0)
    assert [[i // 100 for i in row] for row in batch["input_ids"].tolist()] == [
        [1, 1, 1, 1, 1, 3, 3, 5],
        [2, 2, 2, 2, 2, 2, 6, 0],
        [4, 4, 4, 0, 0, 0, 0, 0],
    ]


def test_long_examples_are_cut():
    batch = packed(examples((6, 0), (2, 9), (3, 9), (0, 4)), 4, 0)
    ids = [[100, 101, 102, 103], [200, 201, 202, 203], [300, 301, 302, 303], [400, 401, 402, 403]]
    assert batch["input_ids"].tolist() == ids
    assert batch["labels"][:, 1:].tolist() == [[-100] * 3, [-100, 202, 203], [-100, -100, 303], [401, 402, 403]]
    assert batch["labels"][:, 0].tolist() == [-100] * 4


def test_padding_token_may_be_a_real_one():
    batch = packed([{"prompt": [5], "response": [9, 9]}, {"prompt": [9], "response": [9]}], 6, 9)
    assert batch["labels"].tolist() == [[-100, 9, 9, -100, 9, -100]]
    assert batch["segment_ids"].tolist() == [[1, 1, 1, 2, 2, 0]]


def mask_of(segments, dtype):
    length = segments.shape[1]
    mine = (segments[:, :, None] == segments[:, None, :]) & (segments[:, :, None] > 0)
    mine = mine & torch.ones(length, length, dtype=torch.bool).tril() | torch.eye(length, dtype=torch.bool)
    return torch.zeros(mine.shape, dtype=dtype).masked_fill(~mine, torch.finfo(dtype).min)[:, None]


def test_mask():
    segments = torch.tensor([[1, 1, 2, 2, 0, 0], [1, 2, 3, 3, 3, 0]])
    for name in ("float32", "bfloat16", "float16"):
        said = ask("attention_mask(segments, dtype=getattr(torch, name))", segments=segments, name=name)
        assert said.shape == (2, 1, 6, 6)
        equal(said + 0, mask_of(segments, getattr(torch, name)) + 0)
    assert ask("attention_mask(segments)", segments=segments).dtype == torch.float32


def test_packed_attention_equals_single_examples():
    given = examples((2, 3), (0, 2), (1, 3))
    batch = packed(given, 7, 0)
    mask = ask("attention_mask(segments)", segments=batch["segment_ids"])
    torch.manual_seed(1)
    table = torch.randn(500, 8)

    def attend(ids, mask):
        x = table[ids]
        return torch.softmax(x @ x.transpose(-1, -2) + mask, -1) @ x

    together = attend(batch["input_ids"], mask[:, 0])
    for row, segment, example in ((0, 1, given[0]), (0, 2, given[1]), (1, 1, given[2])):
        ids = torch.tensor(example["prompt"] + example["response"])
        alone = attend(ids, torch.full((len(ids), len(ids)), float("-inf")).triu(1))
        close(together[row][batch["segment_ids"][row] == segment], alone)


def test_weights():
    batch = packed(examples((2, 3), (2, 0), (1, 1), (1, 4)), 9, 0)
    weigh = "token_weights(labels, segments)"
    said = ask(weigh, labels=batch["labels"], segments=batch["segment_ids"])
    wanted = torch.zeros(2, 9)
    wanted[0, 2:5], wanted[0, 8], wanted[1, 1:5] = 1 / 9, 1 / 3, 1 / 12
    close(said, wanted)
    nothing = ask(weigh, labels=torch.full_like(batch["labels"], -100), segments=batch["segment_ids"])
    assert torch.equal(nothing, torch.zeros(2, 9))


def test_refusals():
    for given, length in (([], 4), (examples((1, 1)), 0), ([{"prompt": [], "response": []}], 4)):
        assert refuses("pack(given, length, 0)", given=given, length=length), (given, length)
