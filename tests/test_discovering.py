"""What the tab Discover promises of finders and of what they find."""

from pathlib import Path

import pytest
import torch
from tiny_diffusion import write_tiny_ddim

import steer
from steer.apps.discovering import Candidate, discover, fields_of, knob_set, with_knobs
from steer.apps.session import Session
from steer.apps.setting import Model, shared_model
from steer.errors import BadInput, UnknownName


@pytest.fixture(scope="module")
def model() -> Model:
    return shared_model("aviary")


@pytest.fixture
def hue(model: Model) -> Candidate:
    return Candidate(model.knobs["hue"])


@pytest.fixture
def size(model: Model) -> Candidate:
    return Candidate(model.knobs["size"])


def test_every_option_that_is_no_path_is_offered_with_its_default_and_a_line_of_help(model: Model) -> None:
    probe = {field.name: field for field in fields_of("probe", model)}
    assert "source" not in probe
    assert (probe["samples"].kind, probe["samples"].value) == ("whole", 4000)
    assert (probe["truncation"].kind, probe["truncation"].value) == ("number", 1.0)
    assert (probe["disentangle"].kind, probe["disentangle"].value) == ("flag", True)
    assert "robin" in probe["condition"].choices
    assert "hue" in probe["attribute"].choices
    assert probe["samples"].help == "How many pictures are drawn and measured."
    for entry in steer.list_finders():
        for field in fields_of(entry.name, model):
            assert field.help.endswith("."), f"{entry.name}.{field.name} has no help"


def test_what_is_filled_in_reaches_the_finder(model: Model) -> None:
    filled = {"towards": "0-7", "away": "8-15", "name": "warm", "measure_ranges": False, "space": "any"}
    found = discover("contrast", model, filled)
    assert list(found) == ["warm"]
    latent = model.generator.sample(range(16))
    space = found["warm"].space
    straight = latent[space][:8].mean(0) - latent[space][8:].mean(0)
    assert torch.nn.functional.cosine_similarity(found["warm"].direction.flatten(), straight.flatten(), dim=0) > 0.5


def test_no_path_that_somebody_typed_is_opened(model: Model, tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("1\n2\n")
    with pytest.raises(BadInput, match="is seeds such as"):
        discover("contrast", model, {"towards": str(tmp_path / "seeds.txt"), "away": "1"})
    with pytest.raises(UnknownName):
        fields_of("../probe", model)


def test_phrases_lead_from_one_to_the_other_and_are_never_taken_for_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shared_model(str(write_tiny_ddim(tmp_path / "tiny")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a red owl").mkdir()  # where it opened files, it would find no picture in there
    filled = {"towards": "a red owl", "away": "a blue wren", "measure_ranges": False}
    knob = discover("contrast", model, filled)["contrast"]
    red, blue = (model.generator.sample([0], condition={"prompt": words}) for words in ("a red owl", "a blue wren"))
    turned = model.decode(blue, steer.Steering([(knob, 1.0)]), draft=True)
    assert turned.sub(model.decode(blue, draft=True)).abs().mean() > 0.01
    torch.testing.assert_close(turned, model.decode(red, draft=True), atol=1e-5, rtol=0)


def test_a_flipped_knob_turns_the_other_way(model: Model, hue: Candidate, size: Candidate) -> None:
    latent = model.generator.sample([3])
    for candidate, amount in ((hue, 40.0), (size, 1.0)):
        there = model.decode(latent, steer.Steering([(candidate.knob, -amount)]))
        flipped = model.decode(latent, steer.Steering([(candidate.flipped().knob, amount)]))
        assert flipped.sub(there).abs().max() < 1e-5


def test_range_and_window_can_be_trimmed_and_impossible_ones_are_refused(size: Candidate) -> None:
    assert size.trimmed(-1, 2).knob.range == (-1.0, 2.0)
    assert size.windowed(0.25, 1).knob.window == steer.Window(0.25, 1.0)
    with pytest.raises(BadInput, match="a range goes up"):
        size.trimmed(2, 1)
    with pytest.raises(BadInput, match="window"):
        size.windowed(0.5, 0.5)


def test_a_saved_file_holds_names_ranges_and_notes(size: Candidate, hue: Candidate, tmp_path: Path) -> None:
    edited = size.named("plump").trimmed(-1, 2).noted("only on owls")
    knob_set([edited, hue], {"seconds": 1}).save(tmp_path / "knobs.safetensors")
    again = steer.load_knobs(tmp_path / "knobs.safetensors")
    assert again["plump"].range == (-1.0, 2.0)
    assert again.report["notes"] == {"plump": "only on owls"}
    with pytest.raises(BadInput, match="same name"):
        knob_set([size, size], {})


def test_found_knobs_stand_beside_the_shipped_ones_and_turn(size: Candidate) -> None:
    session = Session("aviary")
    session.adopt(with_knobs(session.setting, [size.flipped(), size.named("plump")]))
    session.turn("size (found)", 1.0)
    turned = session.picture().pixels
    session.reset()
    session.turn("plump", -1.0)
    assert session.picture().pixels.sub(turned).abs().max() < 1e-5


def test_a_strip_runs_over_the_range_on_every_seed(model: Model, size: Candidate) -> None:
    strip = size.trimmed(0, 2).strip(model)
    assert strip.shape == (21, 3, 64, 64)
    assert strip[7].equal(model.decode(model.generator.sample([1]))[0])


def test_a_part_of_the_way_is_asked_for_as_two_numbers(model: Model) -> None:
    at = {field.name: field for field in fields_of("probe", model)}["at"]
    assert (at.kind, at.value) == ("pair", "0, 1")
