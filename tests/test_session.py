"""What a session promises: its verbs, and that a picture can be had again from any of its texts."""

import re
import shlex
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_diffusion import write_tiny_ddim

import steer
from steer.apps import setting as settings
from steer.apps.command_line import main
from steer.apps.history import MOST_REMEMBERED
from steer.apps.session import Session
from steer.apps.setting import COLUMNS, shared_model
from steer.errors import BadInput, BrokenFile, UnknownName, WrongGenerator
from steer.generators.aviary.factors import FACTORS
from steer.pictures import to_images, to_pictures
from steer.recipe import Recipe


@pytest.fixture
def session() -> Session:
    return Session("aviary")


def factors(session: Session) -> dict[str, torch.Tensor]:
    """Return the true factors of the birds shown, before the renderer draws them."""
    setting = session.setting
    values = setting.generator.observe(setting.dice.latent, "factors", setting.steering)
    return dict(zip(FACTORS, values.unbind(dim=1), strict=True))


def pixels(session: Session) -> torch.Tensor:
    return session.picture().pixels


def test_a_session_begins_with_one_bird_and_nothing_turned(session: Session) -> None:
    assert session.setting.amounts == {}
    assert torch.equal(pixels(session), steer.load_generator("aviary").decode(session.setting.dice.latent))
    assert pixels(session).shape == (1, 3, 64, 64)


def test_a_generator_is_ready_once_somebody_has_used_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_MODELS", {})
    session = Session("aviary")
    assert session.is_ready("aviary") and not session.is_ready("aviary-biggan") and not session.is_ready("nobody's")
    Session("aviary-biggan")
    assert session.is_ready("aviary-biggan")


def test_two_sessions_share_the_model_and_nothing_else() -> None:
    one, other = Session("aviary"), Session("aviary")
    one.turn("hue", 90)
    one.throw(5)
    assert one.setting.generator is other.setting.generator
    assert other.setting.amounts == {}
    assert other.setting.dice.seeds[0] == 0


def test_turning_a_knob_turns_its_factor(session: Session) -> None:
    before = factors(session)["hue"]
    session.turn("hue", 90)
    assert torch.remainder(factors(session)["hue"] - before, 360).item() == pytest.approx(90, abs=0.01)


def test_a_knob_turned_back_to_zero_is_as_if_never_turned(session: Session) -> None:
    before = pixels(session)
    session.turn("size", 1.5)
    assert not torch.equal(pixels(session), before)
    session.turn("size", 0)
    assert torch.equal(pixels(session), before)
    assert session.setting.amounts == {}


def test_turning_to_the_same_amount_leaves_the_very_same_setting(session: Session) -> None:
    session.turn("size", 1.5)
    setting = session.setting
    session.turn("size", 1.5)
    assert session.setting is setting


def test_reset_turns_every_knob_back_and_holds_the_dice(session: Session) -> None:
    session.throw(7)
    before = pixels(session)
    session.turn("size", 1.5)
    session.turn("heading", 90)
    session.reset()
    assert torch.equal(pixels(session), before)


def test_several_birds_are_those_of_the_following_seeds(session: Session) -> None:
    session.throw(7)
    session.birds(4)
    four = pixels(session)
    session.throw(10)
    session.birds(1)
    assert torch.allclose(four[3:], pixels(session), atol=1e-5)


def test_a_label_changes_the_class_and_no_die(session: Session) -> None:
    session.throw(3)
    before = factors(session)
    session.label("heron")
    after = factors(session)
    assert steer.list_attributes is not None
    assert int(after["species"]) == FACTORS["species"].classes.index("heron")
    assert all(torch.equal(before[name], after[name]) for name in FACTORS if name != "species")


def test_one_die_is_thrown_and_the_others_are_held(session: Session) -> None:
    session.throw(3)
    before = factors(session)
    session.throw_one("heading", 8)
    after = factors(session)
    assert not torch.equal(before["heading"], after["heading"])
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in FACTORS if name != "heading")
    fresh = Session("aviary")
    fresh.throw(8)
    assert after["heading"].item() == pytest.approx(factors(fresh)["heading"].item(), abs=0.01)


def test_dice_thrown_singly_stay_when_the_label_or_the_number_of_birds_changes(session: Session) -> None:
    session.throw_one("heading", 8)
    heading = factors(session)["heading"]
    session.label("owl")
    session.birds(4)
    assert factors(session)["heading"][:1].item() == pytest.approx(heading.item(), abs=0.01)


def test_a_knob_inside_the_generator_has_no_die_to_throw(session: Session) -> None:
    setting = session.setting
    inner = steer.LinearKnob("inner", "factors", torch.ones(len(FACTORS)))
    session._setting = replace(setting, knobs={**setting.knobs, "inner": inner})
    with pytest.raises(BadInput, match="no die of its own"):
        session.throw_one("inner", 1)


def test_truncation_draws_the_dice_in(session: Session) -> None:
    dice = session.setting.dice.latent["z"]
    assert session.setting.dice.truncation == 0.8
    session.truncation(0.4)
    assert torch.allclose(session.setting.dice.latent["z"], 0.5 * dice)


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        ("use", "bigan"),
        ("throw", -1),
        ("label", "penguin"),
        ("truncation", -1.0),
        ("truncation", float("nan")),
        ("birds", 7),
    ],
)
def test_a_verb_that_fails_leaves_everything_as_it_was(session: Session, verb: str, argument: Any) -> None:
    setting = session.setting
    with pytest.raises(steer.SteerError):
        getattr(session, verb)(argument)
    assert session.setting is setting


def test_a_knob_is_turned_by_its_name_and_a_number(session: Session) -> None:
    with pytest.raises(UnknownName, match="heading"):
        session.turn("colour", 1)
    with pytest.raises(BadInput, match="number"):
        session.turn("hue", float("nan"))


def test_a_strip_is_the_bird_with_one_knob_over_its_range_and_the_others_held(session: Session) -> None:
    session.turn("hue", 60)
    session.turn("size", 1)
    strip = session.strip("size", [-2, -1, 0, 1, 2])
    assert strip.shape == (5, 3, 64, 64)
    for place, amount in ((0, -2), (2, 0)):
        session.turn("size", amount)
        assert torch.allclose(strip[place], pixels(session)[0], atol=1e-5)


def test_a_map_has_one_knob_across_and_another_up(session: Session) -> None:
    session.turn("heading", 30)
    pictures = session.map("size", "hue", [-1, 0, 1], [0, 90])
    session.turn("size", 1)
    session.turn("hue", 90)
    assert torch.allclose(pictures[5], pixels(session)[0], atol=1e-5)
    with pytest.raises(BadInput, match="two knobs"):
        session.map("hue", "hue", [0], [0])


def test_every_verb_can_be_undone_and_done_again(session: Session) -> None:
    first = session.setting
    session.throw(5)
    session.turn("hue", 20)
    session.turn("hue", 60)  # one movement of the hand: it has not rested in between
    session.label("owl")
    last = session.setting
    session.undo()
    assert (session.setting.dice.label, session.setting.amounts) == (None, {"hue": 60})
    session.undo()
    assert (session.setting.dice.seeds[0], session.setting.amounts) == (5, {})
    session.undo()
    assert session.setting is first
    session.undo()
    assert session.setting is first
    for _ in range(4):
        session.redo()
    assert session.setting is last


def test_a_hand_that_rests_makes_a_step(session: Session) -> None:
    session.turn("hue", 20)
    session.remember()
    session.remember()
    session.turn("hue", 60)
    session.undo()
    assert session.setting.amounts == {"hue": 20}
    assert len(session.history.steps) == 3


def test_what_was_undone_is_forgotten_when_something_else_is_done(session: Session) -> None:
    session.throw(5)
    session.undo()
    session.turn("hue", 20)
    session.redo()
    assert session.setting.amounts == {"hue": 20}
    assert [step.dice.seeds[0] for step in session.history.steps] == [0, 0]


def test_any_step_can_be_gone_back_to_and_only_so_many_are_kept(session: Session) -> None:
    for seed in range(1, MOST_REMEMBERED + 5):
        session.throw(seed)
    assert len(session.history.steps) == MOST_REMEMBERED
    session.go_back(2)
    assert session.setting is session.history.steps[2]


def test_choosing_the_generator_that_is_chosen_changes_nothing(session: Session) -> None:
    session.turn("hue", 20)
    before = session.setting
    session.use("aviary")
    assert session.setting is before


def test_one_knob_is_reset_alone(session: Session) -> None:
    session.turn("hue", 20)
    session.turn("size", 1)
    session.window("size", 0.5, 1)
    session.reset("size")
    assert (session.setting.amounts, session.setting.windows) == ({"hue": 20}, {})


def test_a_knob_acts_only_in_its_window() -> None:
    session = Session("aviary-biggan")
    session.turn("hue", 120)
    whole = pixels(session)
    session.window("hue", 0.8, 1)
    late = pixels(session)
    session.turn("hue", 0)
    untouched = pixels(session)
    assert not torch.equal(late, untouched)
    assert (late - untouched).abs().mean() < (whole - untouched).abs().mean()
    knob = session.setting.knobs["hue"]
    assert session.setting.dice.stages(knob)[0] == pytest.approx((0, 0.2))
    with pytest.raises(BadInput, match="window"):
        session.window("hue", 0.5, 0.5)


def chosen(session: Session) -> tuple[Any, ...]:
    setting, dice = session.setting, session.setting.dice
    shown = dice.seeds[: dice.birds] if dice.plain else None
    return (
        setting.generator.name,
        shown,
        dice.birds,
        dice.label,
        dice.truncation,
        dict(setting.amounts),
        dict(setting.windows),
    )


def prepared(kind: str) -> Session:
    session = Session("aviary")
    session.throw(7)
    match kind:
        case "turned":
            session.label("toucan")
            session.truncation(0.7)
            session.turn("hue", 60.1)
            session.turn("size", -1.3)
        case "four birds":
            session.birds(4)
            session.turn("heading", 45)
        case "one die thrown":
            session.label("owl")
            session.throw_one("heading", 8)
            session.turn("light", 2)
        case "in a window":
            session.turn("hue", 60)
            session.turn("size", -1)
            session.window("size", 0.25, 0.5)
    return session


KINDS = ("untouched", "turned", "four birds", "one die thrown", "in a window")


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_picture_restores_everything(kind: str, tmp_path: Path) -> None:
    session = prepared(kind)
    session.recipe().save(tmp_path / "bird.png")
    other = Session("aviary")
    assert other.restore(tmp_path / "bird.png") is None
    assert torch.equal(pixels(other), pixels(session))
    assert chosen(other) == chosen(session)


@pytest.mark.parametrize("kind", KINDS)
def test_the_python_text_makes_the_same_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = prepared(kind)
    expected, name = pixels(session), session.setting.file_name
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(session.as_python(), names)
    assert torch.equal(names["picture"], expected)
    assert Recipe.load(name).render().equal(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_makes_the_same_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = prepared(kind)
    monkeypatch.chdir(tmp_path)
    session.recipe().save(session.setting.file_name)
    saved = BytesIO(Path(session.setting.file_name).read_bytes())  # the command may write the very file anew
    words = shlex.split(session.as_command())
    assert words[0] == "steer"
    assert main(words[1:]) == 0
    out = Path(words[words.index("--out") + 1])
    from PIL import Image, ImageChops

    with Image.open(out) as made, Image.open(saved) as wanted:
        assert made.size == wanted.size
        assert ImageChops.difference(made, wanted).getbbox() is None
    assert Recipe.load(out).render().equal(pixels(session))


def test_restored_birds_keep_their_dice_when_label_number_or_truncation_change(tmp_path: Path) -> None:
    session = prepared("one die thrown")
    session.recipe().save(tmp_path / "bird.png")
    other = Session("aviary")
    other.restore(tmp_path / "bird.png")
    before = other.setting.dice.latent["z"]
    other.label("duck")
    other.birds(4)
    assert torch.equal(other.setting.dice.latent["z"][:1], before)
    assert other.setting.labels == ("duck",) * 4
    other.truncation(0.4)
    assert torch.allclose(other.setting.dice.latent["z"][:1], 0.5 * before)


def test_a_sheet_with_other_seeds_and_labels_is_restored_as_far_as_it_is_shown(tmp_path: Path) -> None:
    birds = steer.load_generator("aviary")
    labels = ["owl", "duck", "wren", "robin", "heron"]
    latent = birds.sample([3, 1, 4, 1, 5], condition={"label": labels})
    Recipe.of(birds, latent).save(tmp_path / "sheet.png")
    session = Session("aviary")
    note = session.restore(tmp_path / "sheet.png")
    assert note is not None
    assert "5 pictures" in note
    assert session.setting.labels == ("owl", "duck", "wren", "robin")
    assert torch.allclose(pixels(session), birds.decode(latent)[:4], atol=1e-5)


def test_a_strip_is_restored_as_its_first_picture(tmp_path: Path) -> None:
    birds = steer.load_generator("aviary")
    knob = steer.shipped_knobs(birds)["size"]
    steer.strip(birds, knob, [2], columns=3).save(tmp_path / "strip.png")
    session = Session("aviary")
    assert session.restore(tmp_path / "strip.png") is not None
    assert session.setting.amounts == {"size": knob.range[0]}
    assert session.setting.dice.birds == 1


def test_a_knob_that_is_not_shipped_comes_with_its_recipe(tmp_path: Path) -> None:
    birds = steer.load_generator("aviary")
    own = steer.LinearKnob("size", "z", torch.ones(12))
    latent, steering = birds.sample([2]), steer.Steering([(own, 0.5)])
    Recipe.of(birds, latent, steering).save(tmp_path / "own.png")
    session = Session("aviary")
    session.restore(tmp_path / "own.png")
    assert session.setting.amounts == {"size (from the recipe)": 0.5}
    assert torch.equal(pixels(session), birds.decode(latent, steering))
    session.turn("size", 1)
    assert len(session.setting.amounts) == 2


def test_a_recipe_of_other_weights_is_refused_with_both_hashes(session: Session) -> None:
    recipe = session.recipe().model_copy(update={"fingerprint": "f" * 64})
    setting = session.setting
    with pytest.raises(WrongGenerator, match="ffffffffffff"):
        session.restore(recipe)
    assert session.setting is setting


def test_a_recipe_never_opens_a_folder_that_it_names(session: Session, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"generator": "aviary"}', encoding="utf-8")
    recipe = session.recipe().model_copy(update={"generator": str(tmp_path)})
    with pytest.raises(UnknownName, match="aviary"):
        session.restore(recipe)


def test_a_film_and_a_damaged_recipe_are_refused(session: Session) -> None:
    birds = session.setting.generator
    walk = steer.Walk.between(birds, birds.sample([1, 2]))
    with pytest.raises(BadInput, match="film"):
        session.restore(Recipe.of_walk(walk))
    latent = birds.sample([1])
    bad = replace(latent.with_values("z", latent["z"] * float("nan")))
    with pytest.raises(BrokenFile, match="do not fit"):
        session.restore(Recipe.of(birds, bad))
    short = replace(bad, values={"z": torch.zeros(1, 3)})
    with pytest.raises(BrokenFile, match="do not fit"):
        session.restore(Recipe.of(birds, short))


def test_a_picture_without_a_recipe_is_refused(session: Session, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    with pytest.raises(BadInput, match="carries no recipe"):
        session.restore(tmp_path / "photo.png")


def test_file_names_say_generator_label_and_seed(session: Session) -> None:
    session.throw(7)
    session.label("robin")
    assert session.setting.file_name == "aviary-robin-7.png"
    session.birds(max(COLUMNS))
    assert session.setting.file_name == "aviary-robin-7-15.png"


def test_readings_stand_beside_what_the_knobs_ask_for(session: Session) -> None:
    if shared_model("aviary").measurer is None:
        pytest.skip("the judge is not here yet")
    session.throw(5)
    session.turn("hue", 90)
    readings = {reading.attribute.name: reading for reading in session.readings(session.picture())}
    assert readings["hue"].asked == ((90, "degree"),)
    assert readings["hue"].moved == pytest.approx(90, abs=15)
    assert readings["size"].asked == ()
    assert readings.keys() == session.picture().measured.keys()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a small diffusion model, which reads words and takes steps."""
    return str(write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny", levels=60))


def asked(small: str) -> Session:
    session = Session(small)
    session.caption("a red owl")
    session.steps(5)
    return session


def test_a_caption_and_a_number_of_steps_are_what_the_picture_is_made_with(small: str) -> None:
    session = asked(small)
    generator, truncation = session.setting.generator, session.setting.dice.truncation
    latent = generator.sample([0], condition={"prompt": "a red owl"}, truncation=truncation)
    with torch.no_grad():
        assert pixels(session).equal(generator.decode(latent, sampler=steer.Sampler(5)))
    session.undo()
    assert session.setting.dice.steps == session.setting.dice.model.final.steps  # type: ignore[union-attr]
    session.undo()
    assert session.setting.dice.caption == ""


def test_caption_and_steps_come_back_with_the_recipe_and_its_texts(small: str, tmp_path: Path, monkeypatch) -> None:
    session = asked(small)
    monkeypatch.chdir(tmp_path)
    drawn = pixels(session)
    session.setting.recipe.save(session.setting.file_name, session.setting.generator)
    other = Session(small)
    other.restore(tmp_path / session.setting.file_name)
    assert pixels(other).equal(drawn)
    assert (other.setting.dice.caption, other.setting.dice.steps) == ("a red owl", 5)

    made = to_pictures(to_images(drawn))
    assert "--prompt 'a red owl'" in session.as_command() and "--steps 5" in session.as_command()
    for again in (lambda: main(shlex.split(session.as_command())[1:]), lambda: exec(session.as_python(), {})):
        (tmp_path / session.setting.file_name).unlink()
        again()
        with Image.open(tmp_path / session.setting.file_name) as picture:
            assert to_pictures([picture]).equal(made)


def test_what_a_generator_cannot_be_asked_for_is_refused_and_nothing_changes(session: Session, small: str) -> None:
    with pytest.raises(BadInput, match="reads no captions"):
        session.caption("a red owl")
    with pytest.raises(BadInput, match="no choice of steps"):
        session.steps(5)
    with pytest.raises(BadInput, match="1 to 1000"):
        asked(small).steps(0)


def test_pictures_with_a_caption_each_are_restored_by_the_first(small: str) -> None:
    session = Session(small)
    generator = session.setting.generator
    latent = generator.sample(range(4), condition={"prompt": ["a red owl", "a blue wren"] * 2})
    note = session.restore(Recipe.of(generator, latent))
    assert note == "This file holds 4 pictures; here is the first."
    with torch.no_grad():
        assert pixels(session).equal(generator.decode(latent.rows([0])))


def test_a_generator_that_is_told_by_words_is_asked_in_some_from_the_start(session: Session, small: str) -> None:
    session.use("aviary-ddim")
    first = session.setting.dice.caption
    assert re.fullmatch(r"an? .*(robin|wren|cardinal|parrot|heron|duck|owl|toucan).* on .*(background|backdrop)", first)
    session.suggest(5)
    others = session.setting.dice
    assert others.caption not in ("", first)
    assert others.seeds == Session("aviary").setting.dice.seeds
    session.undo()
    assert session.setting.dice.caption == first
    assert Session(small).setting.dice.caption == ""  # nobody knows what its pictures may show
    with pytest.raises(BadInput, match="write your own"):
        Session(small).suggest(5)
