# Stands for the frozen tests with sha256 58323159a48ee279ef5fffa6ba5bee6e5822c49af6d66e965973d5b6428fce69
from examiner import ask

CALL = "[list(each) for each in generate(model, prompts, count)]"
SHAPES = """
shapes = []
hook = model.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[:2])))
generate(model, PROMPTS, 4)
hook.remove()
shapes
"""


def sequence(first, length):
    return [(first + place * place) % 10 for place in range(length)]


PROMPTS = [sequence(3, 6), sequence(8, 2), sequence(1, 3)]


def check_prompts_of_different_lengths():
    for prompts in (PROMPTS, [sequence(0, 1), sequence(9, 7), sequence(4, 4), sequence(2, 2)]):
        wanted = [sequence(prompt[0], len(prompt) + 5)[len(prompt) :] for prompt in prompts]
        assert ask(CALL, prompts=prompts, count=5) == wanted


def still_what_was_right():
    assert ask("PROMPTS") == PROMPTS and ask("sequence(3, 6)") == [3, 4, 7, 2, 9, 8]
    losses, steps = ask("[losses, STEPS]")
    assert len(losses) == steps == 300 and losses[-1] < 0.05 and losses[0] > 1.5
    assert ask("tuple(model.places.weight.shape)") == (24, 32)
    assert ask(CALL, prompts=[sequence(6, 4)], count=8) == [sequence(6, 12)[4:]]
    # Prompts are decoded together: one forward pass a token, over all rows.
    assert ask(SHAPES) == [(3, 6), (3, 7), (3, 8), (3, 9)]
