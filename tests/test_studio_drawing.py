"""Drawing in the page: what a session makes of a drawing, what the server takes, and the pad in a browser."""

import base64
import io
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import open_page, read_address, wait_until
from PIL import Image, ImageDraw
from serving import served
from tiny_diffusion import V, write_tiny_ddim
from torch import Tensor

import steer
from steer.apps.command_line import main
from steer.apps.inverting import crop, invert
from steer.apps.session import Session
from steer.apps.setting import STRONGEST, shared_model
from steer.apps.studio import live
from steer.apps.studio.desks import Desk, Desks
from steer.apps.studio.drawing import describe_drawing
from steer.condition import PNG_PREFIX
from steer.errors import BadInput, UnknownName
from steer.generators.aviary.captions import caption_choices
from steer.generators.aviary.drawings import LAYOUT_COLOURS, layout_pictures
from steer.generators.aviary.factors import sample_factors
from steer.generators.aviary.renderer import render_all
from steer.generators.ddim import DDIMConfig, write_model
from steer.generators.diffusion.network import DenoisingNetwork
from steer.generators.diffusion.words import Vocabulary
from steer.generators.training.ddim import DDIMTraining
from steer.pictures import to_images, to_pictures
from steer.recipe import Recipe

SIZE = 16
PAPER = (255, 255, 255)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a small diffusion model, which follows sketches and layouts of 16 pixels."""
    return str(write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny", levels=60))


@pytest.fixture
def session(small: str) -> Session:
    session = Session(small)
    session.steps(4)
    return session


def sketch(size: int = SIZE) -> Image.Image:
    """Return a black ring on white paper."""
    paper = Image.new("RGB", (size, size), PAPER)
    ImageDraw.Draw(paper).ellipse((size // 4, size // 4, size // 2, size // 2), outline=(0, 0, 0))
    return paper


def pixels(session: Session) -> Tensor:
    return session.picture().pixels


def as_sent(image: Image.Image, kind: str = "PNG") -> str:
    """Return a picture as a pad sends it."""
    file = io.BytesIO()
    image.save(file, kind)
    return PNG_PREFIX + base64.b64encode(file.getvalue()).decode()


# --- what a session makes of a drawing


def test_a_drawing_is_followed_with_the_same_dice(session: Session) -> None:
    generator, dice = session.setting.generator, session.setting.dice
    session.draw("sketch", sketch())
    latent = generator.sample([0], condition={"sketch": sketch()}, truncation=dice.truncation)
    with torch.no_grad():
        assert pixels(session).equal(generator.decode(latent, sampler=steer.Sampler(4)))
    assert session.setting.dice.latent["noise"].equal(dice.latent["noise"])


def test_a_drawing_is_brought_to_the_generators_size(session: Session, tmp_path: Path) -> None:
    sketch(64).save(tmp_path / "large.png")
    session.draw("sketch", tmp_path / "large.png")
    drawing = session.setting.dice.drawing
    assert drawing is not None and drawing.shape == (1, 3, SIZE, SIZE)


def test_the_same_drawing_again_leaves_the_very_same_setting_and_paper_is_no_drawing(session: Session) -> None:
    before = session.setting
    session.draw("sketch", Image.new("RGB", (SIZE, SIZE), PAPER))
    assert session.setting is before
    session.draw("sketch", sketch())
    setting = session.setting
    session.draw("sketch", sketch())
    assert session.setting is setting
    session.draw("sketch", None)
    assert session.setting.dice.drawing is None


def test_one_drawing_takes_the_place_of_another_and_none_takes_its_strength_along(session: Session) -> None:
    session.draw("sketch", sketch())
    session.strength(0.5)
    session.draw("layout", sketch())
    assert set(session.setting.dice.asked) == {"layout", "strength"}
    session.draw("layout", None)
    assert session.setting.dice.asked == {}


def test_a_drawing_is_followed_as_strongly_as_asked(session: Session) -> None:
    generator = session.setting.generator
    session.draw("sketch", sketch())
    session.strength(0.4)
    asked = {"sketch": sketch(), "strength": 0.4}
    latent = generator.sample([0], condition=asked, truncation=session.setting.dice.truncation)
    with torch.no_grad():
        assert pixels(session).equal(generator.decode(latent, sampler=steer.Sampler(4)))
    session.strength(1)
    assert set(session.setting.dice.asked) == {"sketch"}


def test_drawing_is_undone_where_the_hand_rested(session: Session) -> None:
    before = session.setting
    for place in range(3):
        stroke = sketch()
        stroke.putpixel((place, 0), (0, 0, 0))
        session.draw("sketch", stroke)
    session.remember()
    last = session.setting
    session.undo()
    assert session.setting is before
    session.redo()
    assert session.setting is last


@pytest.mark.parametrize("strength", [-0.1, STRONGEST + 0.1, float("nan")])
def test_what_cannot_be_followed_is_refused_and_nothing_changes(
    session: Session, strength: float, tmp_path: Path
) -> None:
    before = session.setting
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    with pytest.raises(UnknownName, match="no kind of drawing named 'photo'; there are sketch, layout"):
        session.draw("photo", sketch())
    with pytest.raises(BadInput, match="no picture that can be read"):
        session.draw("sketch", tmp_path / "notes.txt")
    with pytest.raises(BadInput, match="draw one first"):
        session.strength(0.5)
    with pytest.raises(UnknownName, match="there are none"):
        Session("aviary").draw("sketch", sketch())
    assert session.setting is before
    session.draw("sketch", sketch())
    before = session.setting
    with pytest.raises(BadInput, match="strength of 0 to 2"):
        session.strength(strength)
    assert session.setting is before


def test_drawing_and_strength_come_back_with_the_recipe_and_its_texts(
    session: Session, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.caption("a red owl")
    session.draw("layout", sketch())
    session.strength(0.7)
    monkeypatch.chdir(tmp_path)
    drawn, name = pixels(session), session.setting.file_name
    session.recipe().save(name, session.setting.generator)
    other = Session(small)
    other.restore(tmp_path / name)
    assert pixels(other).equal(drawn)
    drawing = other.setting.dice.drawing
    assert other.setting.dice.drawing_kind == "layout"
    assert drawing is not None and drawing.equal(to_pictures([sketch()]))
    assert other.setting.dice.strength == 0.7

    made = to_pictures(to_images(drawn))
    for again in (lambda: main(shlex.split(session.as_command())[1:]), lambda: exec(session.as_python(), {})):
        again()
        with Image.open(tmp_path / "again.png") as picture:
            assert to_pictures([picture]).equal(made)
        (tmp_path / "again.png").unlink()


def test_a_drawing_is_taken_away_from_dice_that_came_without_a_seed(session: Session) -> None:
    generator = session.setting.generator
    plain, asked = generator.sample([0]), generator.sample([0], condition={"sketch": sketch()})
    noise = 0.9 * plain["noise"]
    few = steer.Sampler(4)
    session.restore(Recipe.of(generator, asked.with_values("noise", noise), sampler=few))
    with torch.no_grad():
        assert pixels(session).equal(generator.decode(asked.with_values("noise", noise), sampler=few))
        session.draw("sketch", None)
        assert pixels(session).equal(generator.decode(plain.with_values("noise", noise), sampler=few))


def test_an_inverted_picture_says_what_it_was_asked_by_and_stays_until_that_changes(tmp_path: Path) -> None:
    short = str(write_tiny_ddim(tmp_path / "short", levels=6))
    sketch().save(tmp_path / "picture.png")
    model = shared_model(short)
    found = invert(model, crop(model, tmp_path / "picture.png"), {"prompt": "a red owl"})
    session = Session(short)
    session.adopt(found.setting)
    assert session.setting.dice.caption == "a red owl"
    anchored = pixels(session)
    assert anchored.equal(to_pictures([sketch()]))
    session.caption("")
    assert not pixels(session).equal(anchored)


@pytest.mark.slow
def test_aviary_ddim_puts_the_bird_where_the_layout_has_it() -> None:
    session = Session("aviary-ddim")
    session.steps(12)
    birds = sample_factors(seeds=[1_000_003])
    session.draw("layout", layout_pictures(birds)[0].permute(1, 2, 0).numpy())
    judge: Any = shared_model("aviary-ddim").measurer
    seen, wanted = judge.mask(pixels(session))[0, 0] > 0.5, render_all(birds, 64).mask[0, 0] > 0.5
    assert float((seen & wanted).sum() / (seen | wanted).sum()) > 0.8


# --- what the server takes from a pad


@pytest.fixture
def ask(small: str) -> tuple[Desk, Callable[..., live.Answer]]:
    """Return a page's desk, and a function that draws as the page does."""
    desks = Desks([small])
    desk = desks.of("page")
    desk.revise()
    named = {call.__name__: call for call in live.calls(desks)}
    return desk, lambda **asked: named["draw"]({"key": desk.key, "kind": "sketch", "strength": 1, **asked})


def test_a_pad_and_the_page_agree_on_what_is_followed(ask: tuple[Desk, Callable[..., live.Answer]]) -> None:
    desk, draw = ask
    answer = draw(drawing=as_sent(sketch()), strength=0.5)
    described = describe_drawing(desk)
    assert answer["drawn"] == described["drawn"] != ""
    assert read_address(described["address"]).equal(to_pictures([sketch()]))
    assert (described["kind"], described["strength"]) == ("sketch", 0.5)
    assert draw(drawing=as_sent(sketch()), strength=0.6)["drawn"] != answer["drawn"]
    assert draw(drawing=None)["drawn"] == describe_drawing(desk)["drawn"] == ""


@pytest.mark.parametrize(
    "sent",
    [
        {"drawing": as_sent(sketch(2 * SIZE))},
        {"drawing": as_sent(sketch(), "JPEG")},
        {"drawing": as_sent(sketch())[:-40]},
        {"drawing": as_sent(sketch()) + "A" * 10_000},
        {"drawing": "/etc/passwd"},
        {"drawing": "http://elsewhere/picture.png"},
        {"drawing": 5},
        {"drawing": as_sent(sketch()), "kind": "prompt"},
        {"drawing": as_sent(sketch()), "kind": {}},
        {"drawing": as_sent(sketch()), "strength": 99},
        {"key": "guessed"},
    ],
)
def test_what_no_pad_sends_is_refused_in_plain_words(
    ask: tuple[Desk, Callable[..., live.Answer]], sent: dict[str, Any]
) -> None:
    desk, draw = ask
    answer = draw(**{"drawing": None, **sent})
    assert "defect" not in answer["error"] and "Traceback" not in answer["error"]
    assert "strength" in sent or desk.session.setting.dice.drawing is None


def test_the_brushes_of_a_layout_are_the_parts_in_the_colours_that_layouts_are_painted_in() -> None:
    desk = Desks(["aviary-ddim"]).of("page")
    kinds = {kind["name"]: kind for kind in describe_drawing(desk)["kinds"]}
    brushes = {brush["name"]: brush["colour"] for brush in kinds["layout"]["brushes"]}
    parts = {part: colour for part, colour in LAYOUT_COLOURS.items() if part != "background"}
    assert brushes == {part: f"#{r:02x}{g:02x}{b:02x}" for part, (r, g, b) in parts.items()}
    assert kinds["sketch"]["brushes"] == [{"name": "pen", "colour": "#000000"}]


def test_where_nothing_can_be_drawn_no_pad_is_described() -> None:
    described = describe_drawing(Desks(["aviary"]).of("page"))
    assert (described["kinds"], described["kind"], described["drawn"]) == ([], None, "")


# --- the pad in a browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small diffusion model of 64 pixels that follows layouts of the aviary."""
    folder = tmp_path_factory.mktemp("models") / "drawn"
    folder.mkdir()
    torch.manual_seed(0)
    words = Vocabulary.of([caption_choices()]).words
    shape = DDIMTraining(resolution=64, channels=(32, 32)).network(words, drawing=True)
    config = DDIMConfig({**V, "num_train_timesteps": 12}, measurer="aviary-judge")  # twelve steps, drafts six
    write_model(folder, DenoisingNetwork(shape), config, dtype=torch.float32)
    return folder


@pytest.fixture(scope="module")
def address(world: Path) -> Iterator[str]:
    with served(str(world)) as address:
        yield address


@pytest.fixture
def pad(window: Any, address: str) -> Iterator[Any]:
    page = open_page(window, address)
    page.locator("#drawing canvas").wait_for()
    yield page
    page.close()


def on_pad(page: Any) -> Image.Image:
    """Return what stands on the pad."""
    address = page.eval_on_selector("#drawing canvas", "canvas => canvas.toDataURL()")
    return to_images(read_address(address))[0]


def shown(page: Any) -> Tensor:
    return read_address(page.locator("#picture img.now").get_attribute("src"))


def followed(world: Path, kind: str, drawing: Image.Image | None, strength: float = 1.0) -> Tensor:
    """Return the finished picture that follows a drawing, to the last bit."""
    session = Session(str(world))
    session.draw(kind, drawing)
    if strength != 1:
        session.strength(strength)
    return to_pictures(to_images(session.picture().pixels))


def wait_for(page: Any, picture: Tensor) -> None:
    wait_until(page, lambda: shown(page).equal(picture), "the picture")


def draw(page: Any, *points: tuple[float, float], lift: bool = True) -> None:
    """Draw a line through points, in shares of the pad."""
    canvas = page.locator("#drawing canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    if lift:
        page.mouse.up()


def choose(page: Any, what: str) -> None:
    page.locator("#drawing label", has_text=what).click()


def colours(image: Image.Image) -> set[Any]:
    return {colour for _, colour in image.getcolors()}


LINE = ((0.2, 0.3), (0.7, 0.4), (0.6, 0.8))


@pytest.mark.browser
def test_the_picture_follows_the_pen_in_drafts_and_is_finished_at_rest(pad: Any, world: Path) -> None:
    wait_for(pad, followed(world, "sketch", None))
    pad.evaluate("window.seen = []; steer.pump.on('picture', ({ finished }) => { seen.push(finished); })")
    draw(pad, *LINE, lift=False)
    wait_until(pad, lambda: False in pad.evaluate("seen"), "a draft while the pen is down")
    pad.mouse.up()
    drawn = on_pad(pad)
    assert 20 < int((to_pictures([drawn])[0, 0] < 0.5).sum()) < 400
    wait_for(pad, followed(world, "sketch", drawn))
    assert pad.evaluate("seen")[-1] is True
    assert "after a sketch" in pad.locator("#picture img.now").get_attribute("alt")


@pytest.mark.browser
def test_a_layout_is_painted_in_the_colours_of_its_parts_and_in_no_other(pad: Any, world: Path) -> None:
    choose(pad, "Layout")
    choose(pad, "body")
    draw(pad, (0.3, 0.6), (0.6, 0.6))
    choose(pad, "head")
    draw(pad, (0.7, 0.4), (0.7, 0.4))
    assert colours(on_pad(pad)) == {PAPER, LAYOUT_COLOURS["body"], LAYOUT_COLOURS["head"]}
    assert on_pad(pad).getpixel((45, 25)) == LAYOUT_COLOURS["head"]
    wait_for(pad, followed(world, "layout", on_pad(pad)))


@pytest.mark.browser
def test_the_rubber_and_undo_and_clear_take_strokes_away(pad: Any, world: Path) -> None:
    choose(pad, "Layout")
    choose(pad, "tail")
    draw(pad, (0.2, 0.5), (0.8, 0.5))
    whole = on_pad(pad)
    choose(pad, "rubber")
    draw(pad, (0.5, 0.1), (0.5, 0.9))
    assert on_pad(pad).getpixel((32, 32)) == PAPER
    assert on_pad(pad).getpixel((16, 32)) == LAYOUT_COLOURS["tail"]
    wait_for(pad, followed(world, "layout", on_pad(pad)))
    pad.get_by_role("button", name="Undo stroke").click()
    assert on_pad(pad).tobytes() == whole.tobytes()
    wait_for(pad, followed(world, "layout", whole))
    pad.get_by_role("button", name="Clear").click()
    assert colours(on_pad(pad)) == {PAPER}
    wait_for(pad, followed(world, "layout", None))
    pad.get_by_role("button", name="Undo stroke").click()
    wait_for(pad, followed(world, "layout", whole))


@pytest.mark.browser
def test_each_kind_has_a_sheet_of_its_own_and_the_one_in_sight_is_followed(pad: Any, world: Path) -> None:
    draw(pad, *LINE)
    drawn = on_pad(pad)
    wait_for(pad, followed(world, "sketch", drawn))
    choose(pad, "Layout")
    wait_for(pad, followed(world, "layout", None))
    choose(pad, "Sketch")
    assert on_pad(pad).tobytes() == drawn.tobytes()
    wait_for(pad, followed(world, "sketch", drawn))


@pytest.mark.browser
def test_strength_is_turned(pad: Any, world: Path) -> None:
    strength = pad.get_by_label("strength of the drawing")
    assert not strength.is_visible()
    draw(pad, *LINE)
    strength.focus()
    for _ in range(6):
        pad.keyboard.press("ArrowLeft")
    assert pad.locator("#drawing output", has_text="0.70").is_visible()
    wait_for(pad, followed(world, "sketch", on_pad(pad), 0.7))


@pytest.mark.browser
def test_a_drawing_is_undone_like_any_turn_and_the_pad_shows_what_is_followed(pad: Any, world: Path) -> None:
    steps = pad.get_by_role("button", name="go to step")
    wait_until(pad, lambda: steps.count() == 1, "the first step")
    draw(pad, *LINE)
    drawn = on_pad(pad)
    wait_until(pad, lambda: steps.count() == 2, "the second step")
    pad.locator("#undo").click()
    wait_until(pad, lambda: colours(on_pad(pad)) == {PAPER}, "an empty pad")
    wait_for(pad, followed(world, "sketch", None))
    pad.locator("#redo").click()
    wait_until(pad, lambda: on_pad(pad).tobytes() == drawn.tobytes(), "the drawing")
    wait_for(pad, followed(world, "sketch", drawn))


@pytest.mark.browser
def test_the_keyboard_draws(pad: Any, world: Path) -> None:
    pad.locator("#drawing canvas").focus()
    for key in ("ArrowUp", "Space", "Shift+ArrowRight", "Shift+ArrowRight", "Space", "ArrowDown", "ArrowDown"):
        pad.keyboard.press(key)
    drawn = on_pad(pad).convert("L")
    inked = [x for x in range(64) if drawn.getpixel((x, 30)) < 128 or drawn.getpixel((x, 31)) < 128]
    assert inked and min(inked) == pytest.approx(32, abs=1) and max(inked) == pytest.approx(42, abs=1)
    assert all(drawn.getpixel((x, 34)) == 255 for x in range(64))  # the pen was lifted before it went down there
    wait_for(pad, followed(world, "sketch", on_pad(pad)))


@pytest.mark.browser
def test_a_picture_is_used_as_the_drawing_and_nothing_but_a_picture(pad: Any, world: Path, tmp_path: Path) -> None:
    sketch(200).save(tmp_path / "ring.png")
    choose(pad, "Layout")
    pad.locator("#choose input[type=file]").set_input_files(tmp_path / "ring.png")
    session = Session(str(world))
    session.draw("layout", tmp_path / "ring.png")
    drawing = session.setting.dice.drawing
    assert drawing is not None
    wait_until(pad, lambda: to_pictures([on_pad(pad)]).equal(drawing), "the picture on the pad")
    wait_for(pad, to_pictures(to_images(session.picture().pixels)))

    (tmp_path / "notes.png").write_text("no picture", encoding="utf-8")
    pad.locator("#choose input[type=file]").set_input_files(tmp_path / "notes.png")
    message = pad.get_by_test_id("toast-body")
    message.wait_for()
    assert "notes.png' is no picture that can be read" in message.inner_text()
    assert "/" not in message.inner_text()
    draw(pad, *LINE)
    wait_for(pad, followed(world, "layout", on_pad(pad)))


@pytest.mark.browser
def test_a_saved_picture_dropped_on_a_fresh_page_brings_its_drawing_back(
    pad: Any, window: Any, address: str, world: Path, tmp_path: Path
) -> None:
    choose(pad, "Layout")
    choose(pad, "wing")
    draw(pad, (0.2, 0.5), (0.6, 0.7))
    pad.get_by_label("strength of the drawing").fill("0.8")
    drawn = on_pad(pad)
    wait_for(pad, followed(world, "layout", drawn, 0.8))
    with pad.expect_download() as download:
        pad.get_by_role("button", name="Save PNG").click()
    download.value.save_as(tmp_path / "made.png")
    other = open_page(window, address)
    other.locator("#masthead input[type=file]").set_input_files(tmp_path / "made.png")
    wait_until(other, lambda: on_pad(other).tobytes() == drawn.tobytes(), "the drawing")
    wait_for(other, followed(world, "layout", drawn, 0.8))
    assert other.locator("#drawing input[value=layout]").is_checked()
    assert other.get_by_label("strength of the drawing").input_value() == "0.8"
    draw(other, (0.6, 0.2), (0.8, 0.2))
    wait_for(other, followed(world, "layout", on_pad(other), 0.8))
    other.close()


@pytest.mark.browser
def test_every_tool_of_the_pad_is_reached_by_tab_and_held_on_a_phone(pad: Any) -> None:
    draw(pad, *LINE)
    choose(pad, "Layout")
    draw(pad, *LINE)
    pad.get_by_label("strength of the drawing").wait_for()
    pad.locator("#caption textarea").focus()
    reached = set()
    for _ in range(14):
        pad.keyboard.press("Tab")
        name = "document.activeElement.ariaLabel || document.activeElement.innerText || document.activeElement.type"
        reached.add(pad.evaluate(name))
    named = {"Undo stroke", "Clear", "Use a picture", "radio", "width of the brush, in pixels of the picture"}
    assert named < reached and any("arrow keys move the brush" in each for each in reached)
    for width in (1280, 390):
        pad.set_viewport_size({"width": width, "height": 844})
        assert pad.evaluate("document.documentElement.scrollWidth") <= width
        assert pad.locator("#drawing canvas").bounding_box()["width"] >= 190


@pytest.mark.browser
def test_no_pad_is_shown_where_nothing_can_be_drawn(window: Any, studio: str) -> None:
    page = open_page(window, studio)
    page.wait_for_selector('#readings [data-attribute="hue"]')
    assert not page.locator("#drawing").is_visible()
    assert page.locator("#drawing canvas").count() == 0
    page.close()
