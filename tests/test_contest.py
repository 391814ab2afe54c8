"""Contests: the best knob of every finder for every attribute, judged alike."""

import json
from dataclasses import replace

import pytest
from known_world import Truth, undrawn_aviary
from PIL import Image

from steer.directions import contest as module
from steer.directions.contest import Contest, contest
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.knob import Knob
from steer.registry import shipped_knobs


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def sets(birds: Generator) -> dict[str, dict[str, Knob]]:
    """Return true knobs, and the same without a word of what they are for."""
    true = {name: shipped_knobs(birds)[name] for name in ("size", "x", "hue")}
    untold = {f"way {number}": replace(knob, attribute=None) for number, knob in enumerate(true.values())}
    return {"told": {"size": true["size"], "hue": true["hue"]}, "untold": untold}


@pytest.fixture(scope="module")
def told(birds: Generator, sets: dict[str, dict[str, Knob]]) -> Contest:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "labeller", lambda generator: Truth())
        return contest(birds, sets, seeds=16, measurer=Truth())


def test_of_knobs_that_are_meant_for_nothing_the_right_one_takes_part(told: Contest) -> None:
    chosen = {(entry.attribute, entry.contestant): entry for entry in told.entries}
    assert chosen["size", "told"].figures == chosen["size", "untold"].figures
    assert chosen["hue", "told"].figures == chosen["hue", "untold"].figures
    assert {attribute for attribute, _ in chosen} == {"hue", "size"}  # no knob says that it is meant for x


def test_random_directions_come_last_though_they_were_chosen_among(told: Contest) -> None:
    for attribute in ("hue", "size"):
        mine = [entry for entry in told.entries if entry.attribute == attribute]
        assert [entry.contestant for entry in mine][-1] == "random"
        assert mine[-1].merit < mine[0].merit - 0.3
    assert told.contestants == ("told", "untold", "random")


def test_every_figure_has_its_interval_and_the_table_and_page_have_every_entry(told: Contest, tmp_path) -> None:  # type: ignore[no-untyped-def]
    record = json.loads(json.dumps(told.to_json()))
    for entry in record["entries"]:
        low, high = entry["intervals"]["r2"]
        assert low - 0.05 <= entry["r2"] <= high + 0.05
    heading, *rows = told.table()
    assert len(rows) == len(told.entries) == 6
    assert all(len(row) == len(heading) for row in rows)
    told.figure(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as page:
        assert page.width > 300


def test_the_command_reads_what_finders_wrote(tmp_path, made) -> None:  # type: ignore[no-untyped-def]
    found = tmp_path / "size.safetensors"
    made("find", "geometry", "aviary-biggan", "--out", found)
    record = json.loads(
        made("measure", "finders", "aviary-biggan", found, "--attribute", "size", "--count", "8", "--json")
    )
    assert [entry["finder"] for entry in record["entries"]] in (["geometry", "random"], ["random", "geometry"])


def test_what_is_no_contest_is_refused(birds: Generator, sets: dict[str, dict[str, Knob]]) -> None:
    with pytest.raises(UnknownName, match="'plume'"):
        contest(birds, sets, ["plume"], measurer=Truth())
    with pytest.raises(BadInput, match="meant for an attribute"):
        contest(birds, {"untold": sets["untold"]}, measurer=Truth())
    with pytest.raises(BadInput, match="sets of knobs"):
        contest(birds, {}, measurer=Truth())
