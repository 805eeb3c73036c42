"""What the page says of lineages that are unfinished, broken, partial, hostile, or large."""

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lamarck.commands.report import write_report
from lamarck.config import load_config
from lamarck.files import digest_file, read_json, write_json, write_text
from lamarck.report.page.gather import ShownLineage, gather
from lamarck.report.page.members import ShownMember, ShownPiece
from lamarck.report.page.outcomes import Outcomes
from lamarck.report.page.summary import answers
from tests.report.page.synthetic import write_lineage
from tests.report.page.watched import opened

CONFIG = Path("config/default.yaml")
PAGE = Path("report.html")


def gathered() -> ShownLineage:
    return gather(load_config(CONFIG), Outcomes())


def member(lineage: ShownLineage, name: str) -> ShownMember:
    return next(each for each in lineage.members if each.name == name)


def piece(lineage: ShownLineage, name: str, kind: str) -> ShownPiece:
    return next(each for each in member(lineage, name).pieces if each.kind == kind)


def first_lines(lineage: ShownLineage) -> str:
    return " ".join(
        sentence for answer in answers(lineage) for sentence in (answer.question, answer.short, *answer.sentences)
    )


def test_a_whole_lineage_is_found_with_everyone_in_it(lineage: Path) -> None:
    found = gathered()
    names = {each.name for each in found.members}
    assert names == {"g0", "g1", "g2", "control/g1", "control/g2", "search/r1/c000/g1", "search/r1/c001/g1"}
    states = {each.state for name in names for each in member(found, name).pieces}
    assert states == {"whole"}
    assert member(found, "search/r1/c001/g1").parents == ["g0"]
    assert found.scores["g2"].to_control is not None
    # Of one child of each arm, no word about what verification is worth in general.
    assert "That is about these two models: what verification is worth takes several seeds" in first_lines(found)
    assert found.scores["search/r1/c000/g1"].to_founder is not None


def test_a_child_of_two_parents_is_drawn_with_both(lineage: Path, browser: Browser) -> None:
    def links() -> int:
        write_report(CONFIG, PAGE)
        with opened(browser, PAGE) as page:
            return page.locator('[data-chart="lineage"] svg path').count()

    before = links()
    child = Path("results/cross/g3")
    child.mkdir(parents=True)
    write_text(Path("results/cross/lineage.yaml"), "parents: {3: [g2, control/g2]}\noverlay: {generations: 3}\n")
    assert member(gathered(), "cross/g3").parents == ["g2", "control/g2"]
    assert before and links() == before + 3, "its circle, and a line from each parent"
    with opened(browser, PAGE) as page:
        page.goto(f"{page.url}#record/cross/g3")
        expect(page.locator("#record")).to_contain_text("g2, control/g2")


def test_nothing_yet(tmp_path: Path, lineage: Path, browser: Browser) -> None:
    shutil.rmtree("results")
    assert "results/ is empty" in first_lines(gathered())
    write_report(CONFIG, PAGE)
    with opened(browser, PAGE) as page:
        assert "results/ is empty" in page.locator("main").inner_text()


def test_half_finished(lineage: Path, browser: Browser) -> None:
    for path in (Path("results/g2"), Path("results/control"), Path("results/search")):
        shutil.rmtree(path)
    found = gathered()
    assert {each.state for each in member(found, "g2").pieces} == {"absent"}
    assert "Is g1 better than g0?" in first_lines(found)
    assert "Still to come: g2." in first_lines(found)
    write_report(CONFIG, PAGE)
    with opened(browser, PAGE) as page:
        assert page.get_by_role("link", name=re.compile("^g2: to come")).count() == 1


def test_a_generation_in_training_is_unfinished_and_not_broken(lineage: Path) -> None:
    for name in ("adapter", "eval.json", "eval.record.json", "samples.jsonl"):
        path = Path("results/g2") / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = gathered()
    assert [each.state for each in member(found, "g2").pieces] == ["whole", "whole", "whole", "absent", "absent"]
    assert "results/g2" not in first_lines(found)


def test_a_partial_evaluation_is_never_a_zero(lineage: Path, browser: Browser) -> None:
    path = Path("results/g2/eval.json")
    scores = read_json(path)
    del scores["tasks"]["arithmetic_2"], scores["score"]
    scores["tiers"]["sanity"]["score"] = None
    write_json(path, scores | {"partial": True, "errors": {"arithmetic_2": "TimeoutError: no answer"}})
    found = gathered()
    assert found.scores["g2"].score is None
    assert "arithmetic_2: TimeoutError: no answer" in first_lines(found)
    assert "Is g1 better than g0?" in first_lines(found)
    assert found.rewards["main"].by_strategy[0].rewards == {}
    write_report(CONFIG, PAGE)
    with opened(browser, PAGE) as page:
        row = page.locator("#scores-table tbody tr", has=page.get_by_role("rowheader", name="g2", exact=True)).first
        assert row.locator("td").first.inner_text() == "partial"
        assert page.get_by_role("link", name=re.compile("^g2: (broken|partial)")).count() == 1


def test_an_altered_artifact_is_shown_with_both_digests(lineage: Path, browser: Browser) -> None:
    path = Path("results/g1/curriculum.jsonl")
    stated = digest_file(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[1:]) + "\n")
    found = gathered()
    broken = piece(found, "g1", "curriculum")
    assert (broken.state, broken.stated, broken.found) == ("altered", stated, digest_file(path))
    adapter = piece(found, "g1", "adapter")
    assert adapter.state == "outdated"
    assert f"another curriculum ({stated[:8]})" in adapter.sentence
    write_report(CONFIG, PAGE)
    with opened(browser, PAGE) as page:
        assert stated[:8] in page.locator(".answers").inner_text()
        page.get_by_role("link", name=re.compile("^g1: broken")).click()
        record = page.locator("#record")
        record.wait_for(state="visible")
        assert record.get_by_text(stated, exact=True).first.is_visible()
        assert record.get_by_text(digest_file(path), exact=True).first.is_visible()


@pytest.mark.parametrize(
    ("gone", "kind"),
    [
        ("adapter", "adapter"),
        ("adapter/training.json", "adapter"),
        ("samples.jsonl", "scores"),
        ("eval.record.json", "scores"),
        ("curriculum.jsonl", "curriculum"),
    ],
)
def test_what_is_gone_is_missing(lineage: Path, gone: str, kind: str) -> None:
    path = Path("results/g1") / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = piece(gathered(), "g1", kind)
    assert found.state == "missing"
    assert gone in found.sentence
    write_report(CONFIG, PAGE)


@pytest.mark.parametrize("name", ["curriculum.json", "eval.json", "eval.record.json", "adapter/training.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"record": {}}'])
def test_a_broken_file_is_named_and_the_rest_is_shown(lineage: Path, name: str, content: str) -> None:
    (Path("results/g1") / name).write_text(content)
    found = gathered()
    assert f"results/g1/{name.split('/')[0]}" in first_lines(found)
    assert found.scores["g2"].score is not None
    write_report(CONFIG, PAGE)


def test_a_broken_line_is_named(lineage: Path) -> None:
    path = Path("results/g1/curriculum.jsonl")
    path.write_text(path.read_text() + "{\n")
    write_report(CONFIG, PAGE)
    assert "results/g1/curriculum.jsonl cannot be read: line 121 is not valid JSON" in PAGE.read_text()


def test_another_suite_gives_no_intervals(lineage: Path) -> None:
    path = Path("config/suites/tiny-v3/items/arithmetic_2.jsonl")
    path.write_text(path.read_text() + json.dumps({"prompt": "new", "target": "1"}) + "\n")
    found = gathered()
    assert found.scores["g1"].interval is None
    assert "another suite" in found.scores["g1"].note


def test_every_curriculum_counts_as_its_card_does(lineage: Path) -> None:
    path = Path("results/g2/curriculum.json")
    counts = {"replayed": 12, "anchors": 0, "to_write": 34}
    write_json(path, read_json(path) | counts)
    said = first_lines(gathered())
    assert "g1 wrote 360 texts and 120 further answers to its problems; 120 problems" in said
    assert "were kept, 25% of all that" in said
    assert "12 replayed from earlier generations, 34 of all these once more" in said
    assert "founder's own data" not in said


def test_a_card_from_before_there_were_further_answers_is_shown(lineage: Path) -> None:
    path = Path("results/g2/curriculum.json")
    card = read_json(path)
    for name in ("answered", "anchors", "to_write"):
        del card[name]
    write_json(path, card)
    assert "g1 wrote 360 texts; 120 problems" in first_lines(gathered())


def test_training_is_priced_as_its_plan_was(lineage: Path, browser: Browser) -> None:
    """15 of 120 device-seconds in each of two arms, at 600 dollars an hour; g2's plan names no price."""
    path = Path("results/g1/plan.json")
    plan = read_json(path)
    plan["cost"]["machine"] |= {"gpu": "H100 SXM", "device_hours": 0.01, "dollars": 6.0}
    write_json(path, plan)
    assert "training took $5.00 of the $40.00 that the ceilings allow" in first_lines(gathered())
    write_report(CONFIG, PAGE)
    with opened(browser, PAGE) as page:
        rows = page.locator("#trainings-table tbody tr")
        assert rows.count() == 6
        cells = rows.filter(has=page.get_by_role("rowheader", name="g1", exact=True)).first.locator("td")
        assert cells.all_inner_texts()[5:9] == ["15.0", "120", "$2.50", "$20.00"]
        for chart in ("speed", "memory"):
            assert page.locator(f'[data-chart="{chart}"] path[aria-label], [data-chart="{chart}"] g path').count() >= 4


HOSTILE = [
    "</script><script>document.title = 'owned'</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} </div><h1>owned</h1>",
    "y" * 2**20,
    "evil \u202e txt \x1b[31m \ud800 \x00 \u061c\u180e\u3164\ufe0f\U000e0041 end",
]


def test_text_of_models_is_only_ever_text(lineage: Path, browser: Browser) -> None:
    """In a curriculum, in answers, in error messages, and in the note of an approval."""
    path = Path("results/g1/curriculum.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row, text in zip(rows, HOSTILE, strict=False):
        row |= {"prompt": text, "completion": text, "reasoning": text}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = Path("results/g1/samples.jsonl")
    outcomes = [json.loads(line) for line in samples.read_text().splitlines()]
    for row, text in zip(outcomes, HOSTILE, strict=False):
        row["answer"] = text
    samples.write_text("".join(json.dumps(row) + "\n" for row in outcomes))
    scores = read_json(Path("results/g2/eval.json"))
    write_json(Path("results/g2/eval.json"), scores | {"partial": True, "errors": {"arithmetic_2": HOSTILE[0]}})
    write_report(CONFIG, PAGE)
    assert PAGE.stat().st_size < 2_000_000
    with opened(browser, PAGE) as page:
        page.locator("#items").get_by_label("Curriculum of").select_option("g1")
        page.locator("#items").get_by_text("1,048,576 characters in all").first.wait_for()
        shown = page.locator("#items .rows").inner_text()
        assert HOSTILE[0] in shown
        assert HOSTILE[2] in shown
        assert "evil ⟨U+202E⟩ txt ⟨U+001B⟩[31m" in shown
        assert "⟨U+061C⟩⟨U+180E⟩⟨U+3164⟩⟨U+FE0F⟩⟨U+E0041⟩ end" in shown
        assert page.title() == "Lamarck: the lineage"
        assert page.locator("main img").count() == 0
        assert page.locator("h1").count() == 1


def test_more_lines_than_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Browser) -> None:
    """Four times as many generations and seven times as many candidates: benchmarks/page.py."""
    monkeypatch.chdir(tmp_path)
    write_lineage(generations=12, candidates=30, items=60, outcomes=4)
    write_report(CONFIG, PAGE)
    assert PAGE.stat().st_size < 3_000_000
    with opened(browser, PAGE) as page:
        assert page.locator("#scores-table tbody tr").count() == 55
        graph = page.locator('[data-chart="lineage"]')
        assert graph.get_by_role("link", name=re.compile("^(control.)?g12: scored")).count() == 2
        assert "12 of 32 lines" in page.locator("#lineage").inner_text()
        page.goto(f"{page.url.split('#')[0]}#record/search/r1/c029/g1")
        page.get_by_role("heading", name="search/r1/c029/g1").wait_for()
