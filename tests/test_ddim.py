"""Diffusion models as generators: they keep every promise, and each space does what its name says."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_diffusion import V, config, network, tiny_ddim, write_unconditional
from torch import Tensor

import steer
from steer.backend import Sampler, Stage
from steer.condition import as_entry, read_entry
from steer.errors import BadInput, BrokenFile, SteerWarning
from steer.generator import Generator
from steer.generators.ddim import (
    DDIM,
    REFERENCE_WIDTH,
    DDIMConfig,
    load,
    write_model,
)
from steer.generators.diffusion.network import Passage
from steer.generators.diffusion.schedule import CLEAN
from steer.generators.diffusion.stepper import sample
from steer.generators.diffusion.words import UnknownWords
from steer.knob import LinearKnob
from steer.steering import Steering
from steer.testing import check_generator

SHORT = Sampler(steps=2)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return tiny_ddim()


@pytest.fixture(scope="module")
def unconditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of an unconditional DDPM as diffusers saves it."""
    return write_unconditional(tmp_path_factory.mktemp("ddpm"))


def direction(generator: Generator, space: str, length: float = 1.0) -> LinearKnob:
    values = torch.randn(generator.spaces[space].shape, generator=torch.Generator().manual_seed(0))
    return LinearKnob("a direction", space, values * length)


def test_an_unconditional_model_of_diffusers_keeps_them_too(
    unconditional: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = load(unconditional)
    monkeypatch.setattr(backend, "samplers", {"final": SHORT})
    assert set(backend.spaces) == {"noise", "bottleneck", "bottleneck.p"}
    check_generator(Generator(backend, name="ddpm"))


def test_its_pictures_are_those_of_diffusers(unconditional: Path, tmp_path: Path) -> None:
    from diffusers import DDIMScheduler, UNet2DModel

    generator = Generator(load(unconditional), name="ddpm")
    latent = generator.sample([0, 1])
    unet = UNet2DModel.from_pretrained(unconditional, subfolder="unet").eval()
    scheduler = DDIMScheduler.from_pretrained(unconditional, subfolder="scheduler", clip_sample=False)
    scheduler.set_timesteps(10)
    x = latent["noise"]
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(unet(x, t).sample, t, x).prev_sample
        ours = generator.decode(latent, sampler=Sampler(steps=10, spacing="leading"))
    assert torch.allclose(ours, ((x + 1) / 2).clamp(0, 1), atol=1e-5)


def test_its_stages_are_those_of_the_stepper(generator: Generator) -> None:
    latent = generator.sample([0, 1], condition={"prompt": "a red owl"})
    backend: Any = generator.backend
    with torch.no_grad():
        ours = generator.decode(latent, sampler=SHORT)
        plain = sample(backend.denoiser(latent), latent["noise"], backend.stepper(SHORT))
    assert torch.equal(ours, ((plain + 1) / 2).clamp(0, 1))


def test_its_film_shows_each_noisy_state_beside_the_guess_made_from_it(generator: Generator) -> None:
    latent = generator.sample([0, 1], condition={"prompt": "a red owl"})
    backend: Any = generator.backend
    stepper, denoiser, x = backend.stepper(SHORT), backend.denoiser(latent), latent["noise"]
    with torch.no_grad():
        *moments, last = generator.film(latent, sampler=SHORT)
        for moment, (t, s) in zip(moments, stepper.levels.down, strict=True):
            output = denoiser(x, t)
            landed = stepper.step(x, output, t, s)
            guess = landed if s == CLEAN else stepper.guess(x, output, t)
            assert moment.name == f"noise level {t}"
            assert moment.noisy is not None
            assert torch.equal(moment.noisy, ((x + 1) / 2).clamp(0, 1))
            assert torch.equal(moment.picture, ((guess + 1) / 2).clamp(0, 1))
            x = landed
    assert last.noisy is not None
    assert torch.equal(last.noisy, last.picture)


def test_a_prompt_changes_the_picture_and_keeps_the_noise(generator: Generator) -> None:
    open_ended, owl = generator.sample([3]), generator.sample([3], condition={"prompt": "a red owl"})
    assert torch.equal(open_ended["noise"], owl["noise"])
    assert not torch.equal(open_ended["prompt"], owl["prompt"])
    with torch.no_grad():
        assert not torch.equal(generator.decode(open_ended, sampler=SHORT), generator.decode(owl, sampler=SHORT))


def test_unasked_a_step_is_one_pass_and_guided_one_of_twice_as_many(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    output = Passage.output

    def counted(self: Passage, change: Callable[[Tensor], Tensor]) -> Tensor:
        passes.append(len(self.inputs[0]))
        return output(self, change)

    monkeypatch.setattr(Passage, "output", counted)
    with torch.no_grad():
        steps = len(generator.backend.stages(generator.sample([0]), SHORT))
        generator.decode(generator.sample([0, 1]), sampler=SHORT)
        assert passes == [2] * steps
        passes.clear()
        generator.decode(generator.sample([0, 1], condition={"prompt": "owl"}), sampler=SHORT)
        assert passes == [4] * steps


def test_a_row_that_is_asked_for_nothing_is_the_same_beside_one_that_is(generator: Generator) -> None:
    plain, owl = generator.sample([0, 1]), generator.sample([0, 1], condition={"prompt": "a red owl"})
    mixed = plain.with_values("prompt", torch.stack([plain["prompt"][0], owl["prompt"][1]]))
    with torch.no_grad():
        unasked, asked, together = (generator.decode(each, sampler=SHORT) for each in (plain, owl, mixed))
    assert torch.equal(together[0], unasked[0])
    assert torch.equal(together[1], asked[1])
    assert not torch.equal(unasked[1], asked[1])


def test_guidance_of_one_is_none_and_of_nought_forgets_what_was_asked(generator: Generator) -> None:
    latent = generator.sample([0], condition={"prompt": "a red owl"})
    backend: Any = generator.backend
    x = latent["noise"]
    with torch.no_grad():
        told = backend.network(x, 500, latent["prompt"], latent["drawing"])
        open_ended = backend.network(x, 500, generator.sample([0])["prompt"], latent["drawing"])
        for guidance, expected in ((1.0, told), (0.0, open_ended), (3.0, open_ended + 3 * (told - open_ended))):
            guided = latent.with_values("guidance", torch.tensor([[guidance]]))
            assert torch.allclose(backend.denoiser(guided)(x, 500), expected, atol=1e-5)


def test_weights_mix_phrases_and_a_phrase_knob_leads_from_one_to_the_other(generator: Generator) -> None:
    backend: Any = generator.backend
    owl, wren = backend.phrase("a red owl"), backend.phrase("a blue wren")
    assert torch.allclose(backend.phrase("a red owl | a blue wren: 3"), (owl + 3 * wren) / 4, atol=1e-6)
    knob = backend.phrase_knob("a blue wren", "a red owl")
    values = owl[None]
    assert torch.allclose(values + knob.displacement(values, torch.ones(1)), wren[None], atol=1e-6)


def test_words_that_cannot_be_used_are_said(generator: Generator) -> None:
    with pytest.warns(UnknownWords, match="majestic"):
        generator.sample([0], condition={"prompt": "a majestic owl"})
    for prompt in ("", "majestic", "owl: 0"):
        with pytest.raises(BadInput):
            generator.sample([0], condition={"prompt": prompt})


def test_a_drawing_travels_as_text_and_its_strength_fades_it_out(generator: Generator, tmp_path: Path) -> None:
    image = Image.new("L", (32, 32), 255)
    image.paste(0, (8, 8, 24, 24))
    entry = as_entry(image, (16, 16))
    assert json.loads(json.dumps(entry)) == entry
    assert read_entry(entry, (16, 16)).shape == (1, 3, 16, 16)
    plain, sketched = generator.sample([0]), generator.sample([0], condition={"sketch": entry})
    laid = generator.sample([0], condition={"layout": entry})
    assert sketched["drawing"][0, 3].eq(1).all()
    assert laid["drawing"][0, 3].eq(-1).all()
    assert not plain["drawing"].any()
    with torch.no_grad():
        faded = sketched.with_values("strength", torch.zeros(1, 1))
        assert torch.allclose(generator.decode(faded, sampler=SHORT), generator.decode(plain, sampler=SHORT), atol=1e-5)
        unlike = generator.decode(sketched, sampler=SHORT) - generator.decode(laid, sampler=SHORT)
    assert float(unlike.abs().max()) > 1e-3


@pytest.mark.parametrize("entry", ["data:image/png;base64,AAAA", "data:image/png;base64,ü"])
def test_a_drawing_that_is_none_is_refused(generator: Generator, entry: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="data URL"):
        generator.sample([0], condition={"sketch": entry})
    (tmp_path / "text.png").write_text("text")
    for path in (tmp_path / "text.png", tmp_path / "gone.png"):
        with pytest.raises(BadInput, match=path.name):
            generator.sample([0], condition={"sketch": path})


def test_a_drawing_is_taken_in_any_form_and_its_crop_is_said(generator: Generator, tmp_path: Path) -> None:
    image = Image.new("L", (16, 16), 255)
    image.paste(0, (4, 4, 12, 12))
    image.save(tmp_path / "sketch.png")
    expected = generator.sample([0, 1], condition={"sketch": as_entry(image, (16, 16))})
    for form in (image, tmp_path / "sketch.png", f"{tmp_path / 'sketch.png'}", [image, image]):
        assert torch.equal(generator.sample([0, 1], condition={"sketch": form})["drawing"], expected["drawing"])
    with pytest.warns(SteerWarning, match="the sketch was cropped to 16x16 of 32x16"):
        generator.sample([0], condition={"sketch": image.resize((32, 16))})


def test_guidance_and_strength_are_numbers_that_can_be_asked_for(generator: Generator) -> None:
    asked = {"prompt": "a red owl", "guidance": [3, 1.5], "strength": "0.5"}
    latent = generator.sample([0, 1], condition=asked)
    assert latent["guidance"].tolist() == [[3.0], [1.5]]
    assert latent["strength"].tolist() == [[0.5], [0.5]]
    assert latent.condition["guidance"] == ("3.0", "1.5")
    for wrong in ("much", math.nan, "inf"):
        with pytest.raises(BadInput, match="guidance is a number"):
            generator.sample([0], condition={"guidance": wrong})


def test_two_drawings_for_one_picture_are_refused(generator: Generator) -> None:
    entry = as_entry(Image.new("L", (16, 16)), (16, 16))
    with pytest.raises(BadInput, match="either sketch or layout"):
        generator.sample([0], condition={"sketch": entry, "layout": entry})


def test_the_encoder_is_run_once_for_both_branches(generator: Generator) -> None:
    backend: Any = generator.backend
    runs: list[str] = []
    hooks = [
        module.block.register_forward_hook(lambda *_, name=name: runs.append(name))
        for name, module in backend.network.unet.named_children()
        if name in ("conv_in", "mid_block")
    ]
    latent = generator.sample([0])
    with torch.no_grad():
        generator.decode(latent, Steering([(direction(generator, "bottleneck.p"), 1.0)]), sampler=SHORT)
    for hook in hooks:
        hook.remove()
    steps = len(backend.stages(latent, SHORT))
    assert runs == ["conv_in", "mid_block"] * steps


def test_bottleneck_p_moves_the_clean_picture_and_not_the_noise(generator: Generator) -> None:
    backend: Any = generator.backend
    latent, knob = generator.sample([0]), direction(generator, "bottleneck.p")
    stepper = backend.stepper(SHORT)
    stage = backend.stages(latent, SHORT)[0]
    t, s = stepper.levels.down[0]
    with torch.no_grad():
        start = backend.begin(latent, SHORT)
        plain = backend.advance(start, stage, Steering())
        turned = backend.advance(start, stage, Steering([(knob, 1.0)]))
        # By hand: a second run of the network with the values moved, in the units of the step's width.
        width = (stage.interval[1] - stage.interval[0]) / REFERENCE_WIDTH
        moved = Passage(backend.network, (latent["noise"], t, latent["prompt"], latent["drawing"]))
        output = moved.output(lambda h: h + width * knob.direction)
    guess = stepper.guess(latent["noise"], output, t)
    assert torch.allclose(turned.tensors["guess"], guess, atol=1e-4)
    root = math.sqrt(stepper.schedule.alpha_bar(s))
    expected = plain.tensors["x"] + root * (guess - plain.tensors["guess"])
    assert torch.allclose(turned.tensors["x"], expected, atol=1e-4)


def test_a_turn_in_the_bottleneck_is_the_same_in_both_passes_of_guidance(generator: Generator) -> None:
    backend: Any = generator.backend
    latent, knob = generator.sample([0], condition={"prompt": "a red owl"}), direction(generator, "bottleneck")
    stage = Stage(0, (0.0, 1.0), frozenset({"bottleneck"}))
    blank = generator.sample([0])

    def at(told: Any) -> Tensor:
        passage = Passage(backend.network, (latent["noise"], 500, told["prompt"], told["drawing"]))
        return passage.output(lambda h: h + knob.direction)

    from steer.generators.ddim import _Bend

    with torch.no_grad():
        told = {name: latent[name] for name in backend.told}
        guided, _ = backend._predict(latent["noise"], 500, told, _Bend(Steering([(knob, 1.0)]), stage, 1))
        plain = at(blank)
        expected = plain + latent["guidance"][0] * (at(latent) - plain)
    assert torch.allclose(guided, expected, atol=1e-4)


def test_fresh_noise_belongs_to_the_row_and_not_to_its_place(generator: Generator) -> None:
    fresh = Sampler(steps=2, eta=1.0)
    together, alone = generator.sample([5, 6]), generator.sample([6])
    with torch.no_grad():
        assert torch.allclose(
            generator.decode(together, sampler=fresh)[1:], generator.decode(alone, sampler=fresh), atol=1e-5
        )
        assert not torch.allclose(generator.decode(alone, sampler=fresh), generator.decode(alone, sampler=SHORT))


def test_the_last_stage_ends_at_the_clean_picture(generator: Generator) -> None:
    latent = generator.sample([0])
    state = generator.backend.begin(latent, SHORT)
    with torch.no_grad():
        for stage in generator.backend.stages(latent, SHORT):
            state = generator.backend.advance(state, stage, Steering())
    assert int(state.tensors["times"][0, 0]) == CLEAN
    assert torch.equal(state.tensors["x"], state.tensors["guess"])


def test_a_sampler_that_cannot_be_is_refused(generator: Generator) -> None:
    with pytest.raises(BadInput, match="1 to 1000"):
        generator.decode(generator.sample([0]), sampler=Sampler(steps=1001))
    for wrong in ({"steps": 0}, {"steps": -3}, {"eta": 1.5}, {"eta": math.nan}):
        with pytest.raises(BadInput):
            Sampler(**wrong)  # type: ignore[arg-type]


def test_a_sampler_steps_at_the_levels_it_lists(generator: Generator) -> None:
    latent, listed = generator.sample([0, 1]), Sampler.at([19, 249, 499, 999])
    names = [stage.name for stage in generator.backend.stages(latent, listed)]
    assert names == [f"noise level {t}" for t in (999, 499, 249, 19)]
    bare = Generator(DDIM(network(), config(low_levels=0)), name="bare")
    evenly = Sampler.at([249, 499, 749, 999])
    with torch.no_grad():
        assert bare.decode(latent, sampler=evenly).equal(bare.decode(latent, sampler=Sampler(4)))
    assert Sampler(**json.loads(json.dumps(listed.to_json()))) == listed
    assert Sampler(4).to_json() == {"steps": 4, "spacing": "trailing", "eta": 0.0}


@pytest.mark.parametrize("levels", [[], [5, 5], [7, 3], [-1, 4]])
def test_levels_that_do_not_rise_are_refused(levels: list[int]) -> None:
    with pytest.raises(BadInput):
        Sampler.at(levels)


def test_levels_beyond_those_of_the_model_are_refused(generator: Generator) -> None:
    with pytest.raises(BadInput, match="at most 999"):
        generator.decode(generator.sample([0]), sampler=Sampler.at([10, 1000]))


def test_a_model_of_few_levels_takes_no_more_steps_than_it_has() -> None:
    few = tiny_ddim(levels=4, low_levels=0)
    assert len(few.backend.stages(few.sample([0]), None)) == 4
    assert few.draft == Sampler.at([0, 1, 2, 3])
    assert tiny_ddim().backend.samplers["final"] == Sampler(50)


def test_a_draft_takes_no_steps_that_only_inversion_needs() -> None:
    generator = tiny_ddim(low_levels=2)
    assert generator.draft is not None and generator.draft.steps == 6
    assert len(generator.backend.stages(generator.sample([0]), generator.draft)) == 6


def test_a_model_says_how_many_steps_its_drafts_take_and_knobs_fit_it_whatever_it_says(tmp_path: Path) -> None:
    write_model(tmp_path, network(), DDIMConfig(V, draft_steps=3), dtype=torch.float32)
    generator = steer.load_generator(tmp_path, device="cpu")
    assert generator.draft is not None and generator.draft.steps == 3
    assert generator.fingerprint == DDIM(network(), DDIMConfig(V)).fingerprint


def test_a_model_comes_back_as_it_was_written(tmp_path: Path) -> None:
    config = DDIMConfig(V, guidance=3.0, measurer="aviary-judge")
    write_model(tmp_path, network(), config, dtype=torch.float32)
    generator = steer.load_generator(tmp_path, device="cpu")
    assert generator.fingerprint == DDIM(network(), config).fingerprint
    assert generator.backend.measurer == "aviary-judge"
    assert float(generator.sample([0])["guidance"]) == 3.0


def test_guidance_and_strength_are_knobs(generator: Generator) -> None:
    backend: Any = generator.backend
    knobs = backend.setting_knobs()
    latent = generator.sample([0], condition={"prompt": "a red owl"})
    with torch.no_grad():
        turned = generator.decode(latent, Steering([(knobs["guidance"], 2.0)]), sampler=SHORT)
        strong = latent.with_values("guidance", latent["guidance"] + 2)
        assert torch.equal(turned, generator.decode(strong, sampler=SHORT))
    assert knobs["strength"].range == (-1.0, 0.0)


def test_a_broken_folder_is_named(tmp_path: Path) -> None:
    write_model(tmp_path, network(), DDIMConfig(V))
    stored = json.loads((tmp_path / "config.json").read_text())
    for change in ({"schema": 99}, {"network": {}}, {"unheard": 1}, {"network": None}):
        (tmp_path / "config.json").write_text(json.dumps(stored | change))
        with pytest.raises(BrokenFile):
            load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(stored))
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(BadInput):
        load(tmp_path)
    with pytest.raises(BadInput, match="without weights"):
        steer.load_generator("ddim")


def test_only_unconditional_models_of_diffusers_are_read(tmp_path: Path, unconditional: Path) -> None:
    with pytest.raises(BadInput, match="no "):
        load(tmp_path)
    unet = json.loads((unconditional / "unet" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(unet | {"_class_name": "UNet2DConditionModel"}))
    (tmp_path / "scheduler_config.json").write_text("{}")
    with pytest.raises(BadInput, match="unconditional"):
        load(tmp_path)
