# Stands for the frozen tests with sha256 75b3b7ffd522e708ed086a4989c066423525e8911bfd9efea0178c6b941333dc
from examiner import ask

EOS = 11
BATCH = """
batch = collate(rows)
{name: batch[name].tolist() for name in ("input_ids", "attention_mask", "labels")}
"""
ENDLESS = """
import copy

endless = copy.deepcopy(model)
with torch.no_grad():
    endless.head.bias[EOS] = -1e9
len(generate(endless, [1], 20))
"""
ROWS = [[1, 2, EOS], [1, 2, 3, 4, EOS]]


def check_the_end_is_learned():
    labels = ask(BATCH, rows=ROWS)["labels"]
    assert labels[0][2] == EOS and labels[1][4] == EOS
    for start in range(1, 8):
        assert ask("list(generate(model, [start]))", start=start) == [*range(start, 9), EOS], start


def still_what_was_right():
    batch = ask(BATCH, rows=ROWS)
    assert batch["attention_mask"] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    hidden = [[each == -100 for each in row] for row in batch["labels"]]
    assert hidden == [[False, False, False, True, True], [False] * 5]
    assert batch["input_ids"][0][:3] == [1, 2, EOS] and batch["input_ids"][1] == [1, 2, 3, 4, EOS]
    assert ask("EXAMPLES") == [[*range(start, 9), EOS] for start in range(1, 8)]
    losses, steps = ask("[losses, STEPS]")
    assert len(losses) == steps == 150 and losses[-1] < 0.2 < losses[0]
    # Without an end token it has to go on to its limit: what ends it is the model.
    assert ask(ENDLESS) == 21
