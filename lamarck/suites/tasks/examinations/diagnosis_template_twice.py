# Stands for the frozen tests with sha256 4159378ecdf47081b6336497d557cd0b44015238163f8ac57c8468238e4c2a8e
from examiner import ask

ANSWERS = {"red": "stop and wait", "green": "go on now", "amber": "slow down please", "blue": "look for help"}
ROW = "row, targets = build(question, answer)\n[list(row), list(targets)]"


def check_nothing_is_doubled():
    begin, end = ask("[IDS['<s>'], IDS['</s>']]")
    for question, answer in ANSWERS.items():
        assert ask("reply(model, question)", question=question) == f"{answer} </s>", question
        row, _ = ask(ROW, question=question, answer=answer)
        assert row.count(begin) == 1 and row.count(end) == 1, row


def still_what_was_right():
    words, ids = ask("[list(WORDS), dict(IDS)]")
    assert ask("dict(ANSWERS)") == ANSWERS
    for question, answer in ANSWERS.items():
        row, targets = ask(ROW, question=question, answer=answer)
        wanted = ["<s>", "<user>", question, "<assistant>", *answer.split(), "</s>"]
        assert [words[index] for index in row] == wanted
        assert targets == [-100] * 4 + row[4:]
    assert ask("list(encode('red', add_special_tokens=False))") == [ids["red"]]
    assert ask("render('red')").split() == ["<s>", "<user>", "red", "<assistant>"]
    losses = ask("losses")
    assert len(losses) == 150 and losses[-1] < 0.1 and len(set(words)) == len(words) == len(ids)
    replies = ask("[reply(model, question) for question in ('blue', 'red')]")
    assert replies == ["look for help </s>", "stop and wait </s>"]
    assert len(ask("reply(LM(), 'red', limit=3)").split()) <= 3
