"""The studio without a browser: its desks, its painting loop, its endpoint, and what it lets in."""

import gc
import json
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from serving import served

import steer
from steer.apps.session import Session
from steer.apps.studio import serving
from steer.apps.studio.desks import POOL, Desk, Desks, slider_range
from steer.apps.studio.painting import paint, settle
from steer.apps.studio.panels import knob_info, picture_html
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
    desk.wants_strips = False
    desk.set_sliders()
    return desk


def dialled(desk: Desk, stamp: float, **amounts: float) -> None:
    desk.dial(desk.edition, stamp, 1, [amounts.get(name, 0) for name in desk.knobs])


def test_a_move_that_was_overtaken_changes_nothing(desk: Desk) -> None:
    dialled(desk, stamp=20, hue=60)
    dialled(desk, stamp=10, hue=50)
    assert desk.session.setting.amounts == {"hue": 60}


def test_a_move_made_before_the_sliders_were_set_changes_nothing(desk: Desk) -> None:
    edition = desk.edition
    desk.session.reset()
    desk.set_sliders()
    desk.dial(edition, 99, 1, [50] * POOL)
    assert desk.session.setting.amounts == {}


@pytest.mark.parametrize("amount", [float("nan"), None, "60", True, [1], {}])
def test_what_is_no_number_turns_no_knob(desk: Desk, amount: Any) -> None:
    desk.dial(desk.edition, 1, amount, [amount] * POOL)
    assert desk.session.setting.amounts == {}
    assert desk.session.setting.dice.truncation == 1


def test_a_move_beyond_a_knob_stops_at_its_end(desk: Desk) -> None:
    dialled(desk, stamp=1, size=99)
    assert desk.session.setting.amounts == {"size": desk.knobs["size"].range[1]}


def test_a_slider_is_wide_enough_for_zero_and_for_where_its_knob_stands() -> None:
    knob = steer.LinearKnob("far", "z", torch.ones(12), range=(1.0, 2.0))
    assert slider_range(knob, 0.0) == (0.0, 2.0)
    assert slider_range(knob, 5.0) == (0.0, 5.0)


def test_desks_are_apart_and_can_be_cleared() -> None:
    desks = Desks([GENERATOR])
    desks.of("one").session.turn("hue", 60)
    assert desks.of("other").session.setting.amounts == {}
    desks.clear("one")
    assert desks.of("one").session.setting.amounts == {}
    assert len(desks) == 2


def test_painting_ends_with_the_newest_setting_though_it_changed_meanwhile(desk: Desk) -> None:
    loop = paint(desk)
    next(loop)
    desk.session.turn("hue", 60)
    newest = picture_html(desk.session.picture())
    assert [picture for picture, _, _ in loop][-1] == newest
    assert desk.read is desk.shown


def test_a_move_wakes_the_loop_while_it_rests(desk: Desk) -> None:
    loop = paint(desk)
    before = next(loop)
    threading.Timer(0.1, dialled, (desk, 1.0), {"hue": 60}).start()
    assert next(loop)[0] != before[0]


def test_an_older_painter_stops_when_a_newer_one_begins(desk: Desk) -> None:
    older = paint(desk)
    next(older)
    desk.session.turn("hue", 60)
    seen: list[Any] = []
    newer = threading.Thread(target=lambda: seen.extend(paint(desk)))
    newer.start()  # and waits until the older one has sent what it has in hand
    time.sleep(0.1)
    assert seen == []
    assert list(older) == []
    newer.join()
    assert seen[-1][0] == picture_html(desk.session.picture())


def test_texts_come_first_and_strips_follow_until_something_changes(desk: Desk) -> None:
    desk.wants_strips = True
    loop = settle(desk)
    command, python, strips = next(loop)
    assert (command, python, strips) == (desk.session.as_command(), desk.session.as_python(), [])
    assert len(next(loop)[2]) == 1
    desk.session.turn("hue", 60)
    assert list(loop) == []
    assert len(list(settle(desk))[-1][2]) == len(desk.knobs)
    assert desk.settled is desk.session.setting


def test_a_picture_travels_without_loss() -> None:
    import base64
    import io
    import re

    picture = Session(GENERATOR).picture()
    address = re.search(r'src="data:image/png;base64,([^"]+)"', picture_html(picture))
    assert address is not None
    shown = Image.open(io.BytesIO(base64.b64decode(address[1])))
    assert to_pictures([shown]).equal(to_pictures(to_images(picture.pixels)))


def test_names_from_a_dropped_file_are_shown_as_text() -> None:
    knob = steer.LinearKnob("<img src=x>", "z", torch.ones(12), attribute="<script>")
    assert "<" not in knob_info(knob, "")


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


def test_there_is_one_named_endpoint_with_named_parameters(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/render"]
    names = [parameter["parameter_name"] for parameter in described["named_endpoints"]["/render"]["parameters"]]
    assert names == ["generator", "seeds", "label", "truncation", "turns"]


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


def test_the_page_begins_with_the_best_generator_that_loads() -> None:
    usable = serving.usable_generators()
    assert usable[0] == next(name for name in serving.BEST if name in usable)
    assert "biggan" not in usable


def test_a_dropped_file_may_be_as_large_as_a_recipe(tmp_path: Path) -> None:
    from steer.pictures import RECIPE_LIMIT

    assert int(serving.LARGEST_UPLOAD.removesuffix("mb")) * 2**20 >= RECIPE_LIMIT
