"""A stranger's generator is installed, listed, checked and steered like the toolkit's own."""

import shutil
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest
import torch

import steer
from steer.testing import check_generator

SOURCE = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module", autouse=True)
def installed_plugin(tmp_path_factory):
    """Lay the plugin out as an installer does: the package, and its metadata beside it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE / "steer_shapes", site / "steer_shapes")
    metadata = site / "steer_shapes-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: steer-shapes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[steer.generators]\nshapes = steer_shapes:load\n")
    sys.path.insert(0, str(site))
    yield Distribution.from_name("steer-shapes")
    sys.path.remove(str(site))
    sys.modules.pop("steer_shapes", None)


def test_it_is_listed_with_the_distribution_it_comes_from():
    listed = {entry.name: entry for entry in steer.list_generators()}
    assert listed["shapes"].distribution == "steer-shapes"


def test_it_keeps_every_promise_of_a_generator():
    check_generator(steer.load_generator("shapes"))


def test_its_dice_are_steered():
    shapes = steer.load_generator("shapes")
    brighter = steer.LinearKnob("brightness", "z", torch.tensor([0.0, 0.0, 0.0, 1.0]))
    latent = shapes.sample([1, 2, 3])
    turned = shapes.decode(latent, steer.Steering([(brighter, 2.0)]))
    assert (turned.mean((1, 2, 3)) > shapes.decode(latent).mean((1, 2, 3))).all()


def test_the_folder_it_came_in_installs_with_the_same_entry_points():
    assert 'shapes = "steer_shapes:load"' in (SOURCE / "pyproject.toml").read_text()
