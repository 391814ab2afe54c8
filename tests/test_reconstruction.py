"""The reconstruction table: every way of inverting at every number of steps, measured without the anchor."""

import pytest
import torch
from mixture import diffuser
from plugin.steer_shapes import Shapes

from steer.errors import BadInput
from steer.generator import Generator
from steer.generators import reconstruction
from steer.generators.reconstruction import measure_reconstruction, photographs


@pytest.fixture(scope="module")
def measured():
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "PICTURES", 2)
        found = measure_reconstruction(diffuser(), steps=[10, 20], progress=lambda *each: seen.append(each))
    assert seen == [(done, 16) for done in range(1, 17)]  # 2 methods, 2 numbers of steps, 2 samples and 2 photographs
    return found


def test_every_way_is_measured_at_every_number_of_steps_on_every_kind_of_picture(measured):
    rows = [(row.method, row.steps, row.kind) for row in measured.rows]
    assert rows == [(m, s, k) for m in ("ddim", "anderson") for s in (10, 20) for k in ("sample", "photo")]


def test_exact_inversion_beats_the_plain_one_and_costs_more_calls(measured):
    plain, exact = (
        next(row for row in measured.rows if (row.method, row.steps, row.kind) == (method, 20, "sample"))
        for method in ("ddim", "anderson")
    )
    assert exact.mae_median < plain.mae_median / 100
    assert plain.network_calls_per_step == 2 < exact.network_calls_per_step <= 8
    assert exact.mae_median <= exact.mae_p90 <= exact.max_error


def test_the_json_is_what_scripts_expect(measured):
    record = measured.to_json()
    assert record["zero_turn_bit_exact"] is True
    assert 0 < record["small_turn_change"] < 1  # how small it is depends on the model
    names = "method steps kind mse mae_median mae_p90 max_error network_calls_per_step pictures"
    assert record["rows"][0].keys() == set(names.split())
    heading, rows = measured.table()
    assert all(len(row) == len(heading) for row in rows)


def test_the_photographs_are_photographs():
    temple, flower = photographs()
    assert temple.shape == flower.shape == (3, 427, 640)
    assert not torch.equal(temple, flower)


def test_a_generator_that_cannot_invert_has_nothing_to_measure():
    with pytest.raises(BadInput, match="cannot invert"):
        measure_reconstruction(Generator(Shapes(), name="shapes"))
