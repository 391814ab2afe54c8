"""Scorecards side by side: the best knob of each for what they have in common."""

import json
from dataclasses import replace

import pytest
from known_world import Truth, undrawn_aviary
from PIL import Image

from steer.directions.comparison import compare, load_card
from steer.directions.scorecard import scorecard
from steer.errors import BadInput, BrokenFile
from steer.knob import LinearKnob
from steer.registry import shipped_knobs


@pytest.fixture(scope="module")
def cards() -> list[dict[str, object]]:
    """Return the card of true knobs for size and hue, and one of a mixed, a true and a stray knob for size and x."""
    birds = undrawn_aviary()
    true = shipped_knobs(birds)
    size, x = true["size"], true["x"]
    assert isinstance(size, LinearKnob)
    assert isinstance(x, LinearKnob)
    mixed = replace(size, name="mixed", direction=0.8 * size.direction + 0.6 * x.direction)
    first = scorecard(birds, {"size": size, "hue": true["hue"]}, seeds=16, measurer=Truth())
    second = scorecard(birds, {"mixed": mixed, "good": size, "x": x}, seeds=16, measurer=Truth())
    return [json.loads(json.dumps(card.to_json())) for card in (first, second)]


def test_the_best_knob_of_each_is_laid_beside_the_others(cards) -> None:  # type: ignore[no-untyped-def]
    told = compare(cards)
    assert told.names == ("undrawn-aviary", "undrawn-aviary 2")
    assert list(told.best) == ["size"]
    assert {name: entry["name"] for name, entry in told.best["size"].items()} == {
        "undrawn-aviary": "size",
        "undrawn-aviary 2": "good",
    }
    heading, *rows = told.table()
    assert len(rows) == 2
    assert all(len(row) == len(heading) for row in rows)
    assert compare([*cards, cards[0]]).names[-1] == "undrawn-aviary 3"


def test_the_command_reads_cards_and_draws_them(cards, tmp_path, made) -> None:  # type: ignore[no-untyped-def]
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, card in zip(files, cards, strict=True):
        file.write_text(json.dumps(card))
    told = json.loads(made("measure", "compare", *files, "--figure", tmp_path / "page.png", "--json"))
    assert told["best"]["size"]["undrawn-aviary 2"]["name"] == "good"
    with Image.open(tmp_path / "page.png") as page:
        assert page.width > 1_000


def test_what_cannot_be_compared_is_refused(cards, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match="two scorecards"):
        compare(cards[:1])
    only = {**cards[0], "knobs": [entry for entry in cards[0]["knobs"] if entry["name"] == "hue"]}
    with pytest.raises(BadInput, match="in common"):
        compare([only, cards[1]])
    old = {**cards[0], "knobs": [{**cards[0]["knobs"][0]}]}
    del old["knobs"][0]["intervals"]
    with pytest.raises(BrokenFile, match="intervals"):
        compare([old, cards[1]])
    with pytest.raises(BadInput, match="cannot be read"):
        load_card(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(BrokenFile, match="not JSON"):
        load_card(tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(BrokenFile, match="no scorecard"):
        load_card(tmp_path / "list.json")
