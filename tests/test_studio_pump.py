"""The pump between page and server, in headless Chromium, with a server whose answers come when the test says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

SCRIPTS = Path(__file__).resolve().parent.parent / "apps" / "studio"

LAST = 60

DRAG = """
([last, ahead]) => new Promise((done) => {
  const shown = [];
  let moves = 0, judged = 0;
  const moved = async (wanted) => { while (moves < Math.min(wanted, last)) await steer.pause(1); };
  const server = {
    look: async ({ amounts }) => {  // the hand is always ahead by the time a picture is made
      await moved(amounts.size + ahead);
      return { finished: true, size: amounts.size };
    },
    judge: async () => {
      await moved(last);
      judged += 1;
      return {};
    },
  };
  const pump = steer.startPump(server, () => done({ shown, judged, still: pump.still }));
  pump.begin({ key: "key", revision: 1 });
  pump.on("picture", ({ size }) => { shown.push(size); });
  const hand = async () => {
    for (let size = 1; size <= last; size += 1) {
      moves = size;
      pump.turn("size", size);
      await steer.pause(10);
    }
  };
  hand();
})
"""
"""Moves a knob from 1 to a last amount, and says in which amounts pictures were shown until the hand rested."""


VIEW = """
async (moves) => {
  const element = document.body.appendChild(document.createElement("div"));
  const pixel = document.createElement("canvas").toDataURL();
  const picture = { birds: [pixel], texts: ["a bird"], height: 64, says: "seed 0", milliseconds: 7, finished: true };
  const pump = steer.startPump({ look: async () => picture, judge: async () => ({}) }, () => {});
  pump.begin({ key: "key", revision: 1 });
  steer.view({ element });
  const said = [];
  for (let size = 1; size <= moves; size += 1) {
    pump.turn("size", size);
    while (pump.latencies.length < size) await steer.pause(1);
    said.push(element.querySelector(".speed").textContent);
  }
  element.remove();
  return said;
}
"""
"""Makes so many moves, each once the picture of the one before is shown, and says what was read of the speed."""

BOARD = """
(groups) => {
  const knob = (group, name) => ({
    name, group, title: name, round: false, attribute: null, help: "", unit: "", least: -1, most: 1, low: -1, high: 1,
    step: 0.01, amount: 0, window: null, grain: 1, shipped: true,
  });
  const knobs = groups.map((group, place) => knob(group, `knob ${place}`));
  const element = document.body.appendChild(document.createElement("div"));
  const value = { key: "key", revision: 1, generator: "some", knobs };
  steer.board({ element, props: { value }, server: { look: async () => ({}) }, watch: () => {}, rest: () => {} });
  const sliders = [...element.querySelectorAll(".track input")];
  const seen = sliders.filter((slider) => slider.checkVisibility({ contentVisibilityAuto: true }));
  element.remove();
  return seen.map((slider) => slider.ariaLabel);
}
"""
"""Lays out a board of sliders, one for each group that is named, and says which of them can be seen."""


@pytest.fixture(scope="module")
def page(window: Any) -> Iterator[Any]:
    page = window.new_page()
    for script in ("studio.js", "pump.js", "view.js", "board.js", "dial.js", "pad.js", "colour.js"):
        page.add_script_tag(path=SCRIPTS / script)
    yield page
    page.close()


@pytest.mark.parametrize("ahead", [0, 3, 20])
def test_pictures_follow_a_hand_that_never_waits_for_one_and_the_last_move_is_shown(page: Any, ahead: int) -> None:
    followed = page.evaluate(DRAG, [LAST, ahead])
    assert followed["shown"] == sorted(followed["shown"])
    assert len(set(followed["shown"])) >= 3
    assert followed["shown"][-1] == LAST
    assert followed["still"]


def test_no_picture_waits_for_the_judge_while_the_hand_moves(page: Any) -> None:
    """The judge is asked after the first picture, and answers only once the drag is over."""
    followed = page.evaluate(DRAG, [LAST, 1])
    assert len(set(followed["shown"])) >= 3
    assert followed["judged"]


def test_a_board_shows_its_first_group_whatever_found_its_knobs_and_folds_the_others(page: Any) -> None:
    assert page.evaluate(BOARD, ["found by contrast"] * 2) == ["knob 0", "knob 1"]
    assert page.evaluate(BOARD, ["", "found by pca", "found by pca"]) == ["knob 0"]


def test_the_page_says_how_long_a_picture_takes_and_then_how_many_come_in_a_second(page: Any) -> None:
    said = page.evaluate(VIEW, 12)
    assert said[0] == "7 ms a frame"
    fast = [text for text in said if text.endswith(" frames a second")]
    assert all(3 <= int(text.split()[0]) <= 12 for text in fast)
    assert set(said) == {"7 ms a frame", *fast}
