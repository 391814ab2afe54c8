"""The studio without a browser: its desks, what pages ask for, its endpoints, and what it lets in."""

import base64
import gc
import inspect
import io
import json
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from gradio import component_meta
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from serving import served

import steer
from steer import registry
from steer.apps import setting
from steer.apps.session import Session
from steer.apps.setting import Model
from steer.apps.studio import live, serving
from steer.apps.studio.board import describe
from steer.apps.studio.desks import Desk, Desks, travel
from steer.apps.studio.without_stubs import without_stubs
from steer.errors import BrokenFile
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

GENERATOR = "aviary"


@pytest.fixture(scope="module", autouse=True)
def _sweep_up() -> Iterator[None]:
    """Collect the event loops that gradio and its client leave open here, where nobody minds."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(GENERATOR) as where:
        yield where


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(address, download_files=tmp_path_factory.mktemp("fetched"), verbose=False)


@pytest.fixture
def desk() -> Desk:
    desk = Desk(Session(GENERATOR))
    desk.revise()
    return desk


@pytest.fixture
def desks() -> Desks:
    return Desks([GENERATOR])


@pytest.fixture
def ask(desks: Desks) -> Callable[..., live.Answer]:
    """Return a function that calls the server as a page does."""
    page = desks.of("page")
    page.revise()
    named = {call.__name__: call for call in live.calls(desks)}

    def call(verb: str, **asked: Any) -> live.Answer:
        return named[verb]({"key": page.key, "revision": page.revision, "stamp": 1.0, **asked})

    return call


def seen(address: str) -> torch.Tensor:
    """Return the picture that an address holds, (1, 3, height, width)."""
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        return to_pictures([image])


def moved(desk: Desk, stamp: float, **amounts: Any) -> None:
    desk.move(desk.revision, stamp, amounts, {})


def test_a_move_that_was_overtaken_changes_nothing(desk: Desk) -> None:
    moved(desk, stamp=20, hue=60)
    moved(desk, stamp=10, hue=50)
    assert desk.session.setting.amounts == {"hue": 60}


def test_a_move_made_before_the_controls_were_set_changes_nothing(desk: Desk) -> None:
    revision = desk.revision
    desk.session.turn("hue", 10)
    desk.revise()
    desk.move(revision, 99, {"hue": 50}, {})
    assert desk.session.setting.amounts == {"hue": 10}


def test_a_move_made_before_something_else_was_loaded_changes_nothing(desk: Desk) -> None:
    revision = desk.revise()
    desk.move(revision, 1, {"hue": 90}, {})
    desk.do(Session.reset)
    desk.move(revision, 2, {"hue": 90}, {})
    assert desk.session.setting.amounts == {}


def test_no_move_is_void_while_the_knobs_stand_as_the_page_has_them(desk: Desk) -> None:
    moved(desk, 1, hue=60)
    revision = desk.revision
    desk.session.label("owl")
    assert desk.revise() == revision
    desk.session.undo()
    desk.session.undo()
    assert desk.revise() == revision + 1


@pytest.mark.parametrize("amount", [float("nan"), None, "60", True, [1], {}])
def test_what_is_no_number_turns_no_knob(desk: Desk, amount: Any) -> None:
    moved(desk, 1, hue=amount)
    desk.move(desk.revision, 2, {}, {"hue": amount, "size": [amount, 1], "tilt": [0, 1, 1]})
    assert (desk.session.setting.amounts, desk.session.setting.windows) == ({}, {})


def test_a_move_beyond_a_slider_stops_at_its_end(desk: Desk) -> None:
    moved(desk, 1, size=99, hue=-999)
    assert desk.session.setting.amounts == {"size": desk.travels["size"][1], "hue": -180}


@pytest.mark.parametrize(
    ("span", "amount", "ends"),
    [
        ((-2.0, 2.0), 0.0, (-2.6, 2.6)),  # 15 % of its width beyond either end
        ((-6.0, 5.7), 0.0, (-6.0, 6.0)),  # but never beyond what ranges are measured to
        ((1.0, 2.0), 0.0, (0.0, 2.15)),
        ((-1.0, 1.0), 5.0, (-1.3, 5.0)),
    ],
)
def test_a_slider_goes_on_a_little_beyond_the_range_and_holds_zero_and_where_its_knob_stands(
    span: tuple[float, float], amount: float, ends: tuple[float, float]
) -> None:
    knob = steer.LinearKnob("far", "z", torch.ones(12), range=span)
    assert travel(knob, amount) == pytest.approx(ends)


def test_a_ring_has_no_beyond(desk: Desk) -> None:
    assert travel(desk.knobs["hue"], 0.0) == (-180, 180)


def test_desks_are_apart_and_can_be_cleared(desks: Desks) -> None:
    one = desks.of("one")
    one.session.turn("hue", 60)
    assert desks.of("other").session.setting.amounts == {}
    assert desks.with_key(one.key) is one
    desks.clear("one")
    assert desks.with_key(one.key) is None
    assert desks.of("one").session.setting.amounts == {}
    assert len(desks) == 2


def test_a_page_sees_the_picture_of_its_newest_move_without_loss(ask: Callable[..., live.Answer]) -> None:
    answer = ask("look", amounts={"hue": 60, "size": -1})
    session = Session(GENERATOR)
    session.turn("hue", 60)
    session.turn("size", -1)
    assert seen(answer["birds"][0]).equal(to_pictures(to_images(session.picture().pixels)))
    assert "hue +60°, size −1 σ" in answer["texts"][0]
    assert answer["finished"] is True


def test_what_was_before_and_what_differs_come_on_request(ask: Callable[..., live.Answer]) -> None:
    plain = ask("look")["birds"]
    assert ask("look", stamp=2, amounts={"background_hue": 90}, view="before")["before"] == plain
    turned = ask("look", stamp=3, view="difference")
    heat = seen(turned["heat"][0])[0].mean(0)
    assert heat[:8, :8].mean() > 5 * heat[32:40, 28:36].mean()  # the background lights up, the bird does not
    assert 0.2 < turned["changed"] < 0.9


def test_nothing_differs_where_nothing_is_turned(ask: Callable[..., live.Answer]) -> None:
    answer = ask("look", view="difference")
    assert answer["changed"] == 0
    assert seen(answer["heat"][0]).amax() < 0.1


def test_a_strip_is_drawn_again_only_when_something_else_was_turned(ask: Callable[..., live.Answer]) -> None:
    first = ask("strip", knob="size")
    assert seen(first["address"]).shape == (1, 3, 64, 64 * live.SLIDER_FRAMES)
    ask("look", stamp=2, amounts={"size": 1})
    assert "address" not in ask("strip", stamp=2, knob="size", known=first["known"])
    ask("look", stamp=3, amounts={"size": 1, "hue": 90})
    assert ask("strip", stamp=3, knob="size", known=first["known"])["address"] != first["address"]


def test_the_first_picture_round_a_dial_is_the_bird_as_it_is(ask: Callable[..., live.Answer]) -> None:
    bird, dial = seen(ask("look")["birds"][0]), seen(ask("strip", knob="heading")["address"])
    assert dial.shape[-1] == 64 * live.RING_FRAMES
    assert (dial[..., :64] - bird).abs().mean() < 0.02
    assert (dial[..., 64 * 4 : 64 * 5] - bird).abs().mean() > 0.05


def test_a_map_has_one_knob_across_and_the_other_up(ask: Callable[..., live.Answer]) -> None:
    chart = seen(ask("chart", across="background_hue", up="background_brightness")["address"])
    assert chart.shape == (1, 3, 64 * live.MAP_SIDE, 64 * live.MAP_SIDE)
    assert chart[..., :64, :].mean() > chart[..., -64:, :].mean()


def test_a_drawing_for_an_older_move_is_left(ask: Callable[..., live.Answer]) -> None:
    ask("look", stamp=5, amounts={"hue": 10})
    assert ask("strip", stamp=4, knob="size") == {"overtaken": True}
    assert ask("finish", stamp=4) == {"overtaken": True}


def test_the_judge_reads_what_is_shown(ask: Callable[..., live.Answer]) -> None:
    ask("look", amounts={"hue": 90})
    answer = ask("judge")
    assert "+90°" in answer["readings"]
    assert 0 <= answer["before"]["hue"] < 360


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"key": "guessed"}, "reload"),
        ({"key": None}, "reload"),
        ({"amounts": [1]}, "a value for each knob"),
    ],
)
def test_calls_that_no_page_makes_are_answered_in_plain_words(
    ask: Callable[..., live.Answer], asked: dict[str, Any], said: str
) -> None:
    assert said in ask("look", **asked)["error"]
    assert "no knob named 'colour'" in ask("strip", knob="colour")["error"]
    assert "no knob named" in ask("chart", across={}, up="hue")["error"]


def test_a_page_that_asks_for_too_much_at_a_time_is_put_off(desks: Desks, ask: Callable[..., live.Answer]) -> None:
    calls = desks.of("page").calls
    while calls.acquire(blocking=False):
        pass
    assert ask("look") == {"busy": True}
    calls.release()
    assert "birds" in ask("look")


def test_names_from_a_dropped_file_are_text(desk: Desk) -> None:
    knob = steer.LinearKnob("<img src=x>", "z", torch.ones(12))
    desk.session._setting = replace(desk.session.setting, knobs={knob.name: knob})
    desk.revise()
    (described,) = describe(desk)["knobs"]
    assert described["title"] == "<img src=x>"  # the page sets it as text; see its test in the browser


def test_the_endpoint_draws_what_python_draws(client: Client) -> None:
    turns = {"hue": 60.0, "size": -1.5}
    file, recipe = client.predict(
        generator=GENERATOR, seeds=[7, 3], label="toucan", truncation=0.8, turns=turns, api_name="/render"
    )
    generator = steer.load_generator(GENERATOR)
    knobs = steer.shipped_knobs(generator)
    latent = generator.sample(seeds=[7, 3], condition={"label": "toucan"}, truncation=0.8)
    expected = generator.decode(latent, steer.Steering([(knobs[name], amount) for name, amount in turns.items()]))
    carried = steer.Recipe.load(file)
    assert carried.render().equal(expected)
    assert steer.Recipe.parse(json.dumps(recipe)) == carried


def test_the_endpoint_draws_one_seed_at_the_generators_own_size(client: Client) -> None:
    file, _ = client.predict(GENERATOR, [5], api_name="/render")
    session = Session(GENERATOR)
    session.throw(5)
    session.truncation(1.0)
    with Image.open(file) as image:
        assert to_pictures([image]).equal(to_pictures(to_images(session.picture().pixels)))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"generator": "bigan"}, "no generator named 'bigan'; there are"),
        ({"generator": "/etc"}, "no generator named '/etc'; there are"),
        ({"seeds": [-1]}, "whole numbers from 0 up"),
        ({"seeds": []}, "such as [0, 1, 2]"),
        ({"seeds": list(range(65))}, "at most 64"),
        ({"label": "penguin"}, "no label named 'penguin'; there are robin"),
        ({"truncation": -1}, "above 0 and at most 1"),
        ({"turns": {"colour": 1}}, "no knob named 'colour'; there are hue"),
    ],
)
def test_the_endpoint_says_in_plain_words_what_is_wrong(client: Client, asked: dict[str, Any], said: str) -> None:
    arguments = {"generator": GENERATOR, "seeds": [1], **asked}
    with pytest.raises(AppError) as caught:
        client.predict(**arguments, api_name="/render")
    assert said in str(caught.value).replace("&#x27;", "'")


def test_knobs_are_turned_by_what_the_endpoints_say_of_them(client: Client) -> None:
    knobs = client.predict(GENERATOR, api_name="/knobs")
    assert knobs["heading"] == {"unit": "degree", "low": -180, "high": 180, "attribute": "heading", "window": [0, 1]}
    asked = {"generator": GENERATOR, "seeds": [1, 2]}
    before = client.predict(**asked, api_name="/measure")
    after = client.predict(**asked, turns={"hue": 90}, api_name="/measure")
    for old, new in zip(before["hue"], after["hue"], strict=True):
        assert (new - old) % 360 == pytest.approx(90, abs=25)


def test_a_recipe_from_an_endpoint_is_made_again_by_another(client: Client) -> None:
    first, recipe = client.predict(GENERATOR, [4], turns={"size": 1.0}, windows={"size": [0, 0.5]}, api_name="/render")
    second, repeated = client.predict(recipe, api_name="/again")
    assert Path(first).read_bytes() == Path(second).read_bytes()
    assert repeated == recipe
    with pytest.raises(AppError, match="no usable recipe"):
        client.predict({"seeds": [1]}, api_name="/again")


def test_the_endpoints_have_names_and_named_parameters(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(described) == ["/again", "/knobs", "/measure", "/render"]
    names = [parameter["parameter_name"] for parameter in described["/render"]["parameters"]]
    assert names == ["generator", "seeds", "label", "truncation", "turns", "windows"]


def status_of(address: str, data: bytes | None = None) -> int:
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_nothing_passes_by_the_queue_and_no_file_of_the_server_is_handed_out(address: str) -> None:
    assert status_of(address) == 200
    assert status_of(f"{address}/gradio_api/run/render", b'{"data": ["aviary", [1]]}') == 404
    assert status_of(f"{address}/gradio_api/file=/etc/passwd") == 403


def test_a_second_studio_takes_the_next_free_port(address: str) -> None:
    import socket

    port = int(address.rpartition(":")[2])
    with socket.socket() as free, pytest.raises(OSError, match="in use"):
        free.bind(("127.0.0.1", port))
    with pytest.raises(steer.SteerError, match=f"port {port} of 127.0.0.1"):
        serving.launch(GENERATOR, port=port, open_browser=False, block=False)


def test_an_unknown_generator_is_said_at_once() -> None:
    with pytest.raises(steer.SteerError, match="no generator named 'bigan'"):
        serving.build(["bigan"])


def test_what_needs_a_folder_is_not_offered_and_nothing_is_loaded_to_find_that_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setting, "_MODELS", {})
    offered = serving.offered_generators()
    assert offered[:2] == ["aviary-biggan", "aviary"]
    assert "aviary-ddim" in offered and not {"biggan", "ddim"} & set(offered)
    assert not setting._MODELS


def test_a_generator_that_is_announced_but_gone_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {**registry.registered("generators"), "old": EntryPoint("old", "steer.gone:load", "steer.generators")}
    monkeypatch.setattr(registry, "registered", lambda group: there)
    assert "old" not in serving.offered_generators()
    assert "aviary" in serving.offered_generators()


def test_a_model_that_is_there_is_had_while_another_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    there = setting.shared_model(GENERATOR)
    monkeypatch.setattr(setting, "_MODELS", {GENERATOR: there})
    monkeypatch.setattr(setting, "load_generator", lambda name: setting.shared_model(GENERATOR).generator)
    assert setting.shared_model("another").generator is there.generator


def test_the_page_begins_with_the_best_generator_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    load = serving.shared_model

    def break_the_best(name: str) -> Model:
        if name == serving.BEST[0]:
            raise BrokenFile("its weights are cut off")
        return load(name)

    monkeypatch.setattr(serving, "shared_model", break_the_best)
    components = serving.build().config["components"]
    (choice,) = (each["props"] for each in components if each["props"].get("elem_id") == "generator")
    assert choice["value"] == serving.BEST[1]
    assert serving.BEST[0] not in [name for name, _ in choice["choices"]]


def test_a_dropped_file_may_be_as_large_as_a_recipe(tmp_path: Path) -> None:
    from steer.pictures import RECIPE_LIMIT

    assert int(serving.LARGEST_UPLOAD.removesuffix("mb")) * 2**20 >= RECIPE_LIMIT


def test_gradio_writes_no_stubs_while_it_is_imported_and_finds_files_again_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = inspect.getfile
    monkeypatch.setattr(component_meta, "create_pyi", lambda *_: pytest.fail("a stub was about to be written"))
    with without_stubs():
        component_meta.create_or_modify_pyi(gr.Button, "Button", ["click"])
        assert inspect.getfile(Desk) == find(Desk)
    assert inspect.getfile is find
