"""What changed between two curricula, with differences put in by hand."""

from lamarck.curriculum.diff import difference
from lamarck.lineage.contents import Card
from tests.curriculum.lines import card, items, typed_card

FIRST = items({("json_mode", 1): 6, ("list_ops", 1): 2}, seed=1)


def test_the_same_curriculum_has_no_difference() -> None:
    side = (typed_card(FIRST, "g1", "g0"), FIRST)
    found = difference(side, side, 5)
    assert (found.cells, found.unchanged_cells, found.examples) == ([], 2, [])
    assert (found.only_first.words, found.only_second.words) == (0, 0)
    assert (found.only_first.pairs, found.only_second.pairs) == (0, 0)


def test_cells_gained_lost_and_shifted() -> None:
    own = items({("json_mode", 1): 2, ("arithmetic", 2): 6}, seed=2, teacher="g1")
    everything = own + FIRST[:2]
    content = card(own, "g2", "g1", replayed=2)
    content["cells"][0]["pass_rate"] = 0.75
    second = Card.model_validate(content)
    found = difference((typed_card(FIRST, "g1", "g0"), FIRST), (second, everything), 5)
    cells = {(cell.skill, cell.difficulty): cell for cell in found.cells}
    assert {name: cell.kind for name, cell in cells.items()} == {
        ("arithmetic", 2): "gained", ("json_mode", 1): "", ("list_ops", 1): "lost",
    }  # fmt: skip
    assert cells["json_mode", 1].shift == 25 - 75
    assert cells["json_mode", 1].pass_rate == (0.5, 0.75)
    assert cells["list_ops", 1].pass_rate == (0.5, None)
    assert [abs(cell.shift) for cell in found.cells] == [75, 50, 25]
    assert (found.second.replayed, found.second.to_write, found.second.anchors) == (2, 0, 0)
    assert (found.first.own, found.second.own) == (8, 8)
    examples = [(example.generation, example.skill) for example in found.examples]
    assert examples == [("g2", "arithmetic"), ("g2", "json_mode"), ("g1", "list_ops")]


def test_new_words_and_new_neighbours_are_named_once() -> None:
    def say(prompts: list[str]) -> list[object]:
        return [
            FIRST[place].model_copy(update={"prompt": text, "completion": "1"}) for place, text in enumerate(prompts)
        ]

    first, second = say(["rev inc 1", "inc rev 2"]), say(["rev inc swp 3", "swp rev 4", "inc inc 5"])
    sides = [(typed_card(FIRST, name, "g0"), said) for name, said in (("g1", first), ("g2", second))]
    found = difference(*sides, 5)  # type: ignore[arg-type]
    assert found.only_second.frequent_words == {"swp": 2}
    assert found.only_second.frequent_pairs == {"inc inc": 1}
    assert found.only_first.frequent_words == {}
    assert found.only_first.frequent_pairs == {"inc rev": 1}
    assert found.first.prompt_words == (3, 3)
    assert found.second.prompt_words == (3, 4)


def test_an_empty_curriculum_has_nothing_of_everything() -> None:
    empty = typed_card(FIRST, "g2", "g1")
    sides = (typed_card(FIRST, "g1", "g0"), FIRST), (empty, [])
    found = difference(*sides, 5)  # type: ignore[arg-type]
    assert (found.second.own, found.second.prompt_words) == (0, (0, 0))
    assert [cell.shift for cell in found.cells] == [-75, -25]
    assert [cell.shift for cell in difference(*reversed(sides), 5).cells] == [75, 25]  # type: ignore[arg-type]
    assert difference(sides[1], sides[1], 5).cells == []
