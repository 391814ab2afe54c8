"""Diffusion models in pixels as generators: noise, words, guidance, drawings and the bottleneck are spaces to steer.

The sampler is that of Song et al. (2021), arXiv 2010.02502; guidance that of Ho and Salimans (2022), arXiv 2207.12598;
the bottleneck as a space that of Kwon et al. (2023), arXiv 2210.10960 (``bottleneck.p``), and Haas et al. (2024),
arXiv 2303.11073 (``bottleneck``).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from steer.backend import Condition, Sampler, Stage, State, SteeringCall
from steer.condition import read_entry
from steer.errors import BadInput, BrokenFile
from steer.files import read_weights, write_tensors, write_text
from steer.generators.aviary.drawings import LAYOUT_COLOURS
from steer.generators.channels_last import channels_last
from steer.generators.diffusion.doctor import Chart
from steer.generators.diffusion.inversion import Method, invert
from steer.generators.diffusion.network import (
    DRAWING_PLANES,
    DRAWINGS,
    DenoisingNetwork,
    NetworkConfig,
    Passage,
    as_drawing,
)
from steer.generators.diffusion.schedule import CLEAN, Levels, Schedule
from steer.generators.diffusion.stepper import Denoiser, Prediction, Stepper
from steer.generators.diffusion.words import parse_prompt
from steer.hub import foreign_kind
from steer.inversion import Found
from steer.knob import KnobSet, LinearKnob, Provenance, load_knobs
from steer.latent import Latent
from steer.progress import Progress
from steer.seeds import draw_normal
from steer.space import Space

GENERATOR = "ddim"
SCHEMA = 1
CONFIG, WEIGHTS, KNOBS = "config.json", "weights.safetensors", "knobs.safetensors"

FINAL_STEPS = 50

INK: Mapping[str, tuple[int, int, int]] = {"pen": (0, 0, 0)}
PARTS_OF: Mapping[str, Mapping[str, tuple[int, int, int]]] = {"aviary-judge": LAYOUT_COLOURS}
"""For a measurer that knows one world, the colours of the parts in the layouts of that world."""

REFERENCE_WIDTH = 1 / 50
"""The width of a step, in parts of all noise levels, in which a turn in ``bottleneck.p`` acts as it is."""

_PREDICTIONS: Mapping[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
_NAMED: Mapping[str, str] = {
    "noise": "the noise that the picture condenses from",
    "prompt": "what the words mean to the network; differences of phrases are knobs",
    "guidance": "how far the picture goes beyond what it would be unasked: 1 not at all",
    "drawing": "the sketch or layout that is shown",
    "strength": "how strongly the drawing is seen: 0 not at all, 1 as it is",
    "bottleneck": "between encoder and decoder of the network, in every step",
    "bottleneck.p": "the same, where it moves the clean picture that is guessed and not the noise",
}


@dataclass(frozen=True)
class DDIMConfig:
    """How a denoising network is used, as JSON.

    Attributes:
        schedule: a configuration as a scheduler of diffusers has it: noise levels, prediction, spacing.
        clean: alpha_bar of the clean picture; as the schedule says where None. See `Schedule.clean`.
        low_levels: how many low levels are added, so that inversion is exact; see `Levels.spread`.
        guidance: guidance where something is asked for and nothing else said.
        measurer: the registered measurer that knows its pictures.
        draft_steps: steps of a draft, for looking while a hand moves; no finished picture depends on them.
    """

    schedule: Mapping[str, Any] = field(default_factory=dict)
    clean: float | None = 1 - 1e-6
    low_levels: int = 2
    guidance: float = 2.0
    measurer: str = "picture"
    draft_steps: int = 6


class DDIM:
    """A diffusion model as a generator back end; one step of the sampler is one stage.

    Input spaces: ``noise``; for networks that know words ``prompt``; for those that can be shown a drawing ``drawing``
    and its ``strength``; for both ``guidance``. All but the noise are met anew in every stage, so that a window
    restricts a turn to some steps. Inner spaces: ``bottleneck`` and ``bottleneck.p``; a turn in the latter moves only
    the clean picture that is guessed, weighted by the width of the step.

    Nothing asked for, a step is one pass of the network; with guidance it is one of twice as many pictures. A prompt is
    phrases parted by ``|``, with weights behind colons. Truncation changes nothing: noise drawn in would be noise no
    more.

    Args:
        network: the network.
        config: how it is used.
        home: the folder it was read from.
    """

    inversions: Mapping[str, Mapping[str, Any]] = MappingProxyType({"ddim": {"method": "ddim"}, "anderson": {}})

    def __init__(self, network: DenoisingNetwork, config: DDIMConfig, *, home: Path | None = None) -> None:
        self.fingerprint = fingerprint(network, config)
        self.network = channels_last(network.eval().requires_grad_(False)).open()
        self.config, self.home, self.measurer = config, home, config.measurer
        schedule = Schedule.from_config(config.schedule)
        self.schedule = schedule if config.clean is None else replace(schedule, clean=config.clean)
        self.prediction = _PREDICTIONS[config.schedule.get("prediction_type", "epsilon")]
        size = network.config.resolution
        self.picture_size = (size, size)
        self.samplers = self._samplers()
        self.conditions = self._conditions()
        self.spaces = self._spaces()
        self._read: dict[str, Tensor] = {}

    def _samplers(self) -> Mapping[str, Sampler]:
        """Return those of drafts, without the low levels, which serve inversion and show nothing, and of the rest."""
        count = len(self.schedule)
        draft = Levels.spread(count, min(self.config.draft_steps, count))
        return {"draft": Sampler.at(draft.times[1:]), "final": Sampler(min(FINAL_STEPS, count))}

    def _conditions(self) -> Mapping[str, Condition]:
        shape = self.network.config
        conditions = []
        if shape.vocabulary:
            conditions.append(Condition("prompt", "text", summary="what to draw, in words; 'one | other: 2' mixes"))
        if shape.drawing:
            conditions += [
                Condition("sketch", "picture", summary="an outline in black on white to follow", colours=INK),
                Condition(
                    "layout",
                    "picture",
                    summary="a map of the parts, each in its colour, to follow",
                    colours=PARTS_OF.get(self.measurer, {}),
                ),
                Condition("strength", "number", summary=_NAMED["strength"]),
            ]
        if conditions:
            conditions.append(Condition("guidance", "number", summary=_NAMED["guidance"]))
        return {condition.name: condition for condition in conditions}

    def _spaces(self) -> Mapping[str, Space]:
        shape = self.network.config
        shapes: dict[str, tuple[int, ...]] = {"noise": (3, *self.picture_size)}
        if shape.vocabulary:
            shapes["prompt"] = (shape.slots, shape.width)
        if shape.drawing:
            shapes |= {"drawing": (DRAWING_PLANES, *self.picture_size), "strength": (1,)}
        if shape.vocabulary or shape.drawing:
            shapes["guidance"] = (1,)
        inputs = set(shapes)
        shapes |= {name: self.network.bottleneck_shape for name in ("bottleneck", "bottleneck.p")}
        return {
            name: Space(
                name,
                "input" if name in inputs else "inner",
                each,
                "normal" if name == "noise" else "learned",
                _NAMED[name],
            )
            for name, each in shapes.items()
        }

    @property
    def told(self) -> tuple[str, ...]:
        """The input spaces that are met in every stage."""
        return tuple(name for name, space in self.spaces.items() if space.kind == "input" and name != "noise")

    def to(self, device: torch.device) -> "DDIM":
        """Move to a device and return itself."""
        self.network.to(device)
        self._read.clear()
        return self

    def sample(
        self, seeds: Sequence[int], *, condition: Mapping[str, Sequence[str]], truncation: float = 1.0
    ) -> Latent:
        """Draw noise; what is not asked for is left open.

        Warns:
            UnknownWords: some words of a prompt are unknown and were passed over.

        Raises:
            BadInput: a prompt has no known words, a drawing is no picture, or there are two drawings for one row.
        """
        count = len(seeds)
        values = {"noise": draw_normal(seeds, "noise", self.spaces["noise"].shape)}
        if "prompt" in self.spaces:
            read = {prompt: self.phrase(prompt) for prompt in dict.fromkeys(condition.get("prompt", ()))}
            rows = [read[prompt] for prompt in condition["prompt"]] if read else [self._values("")] * count
            values["prompt"] = torch.stack(rows).cpu()
        if "drawing" in self.spaces:
            values["drawing"] = self._drawings(condition, count)
        for name, usual in {"strength": 1.0, "guidance": self.config.guidance}.items():
            if name in self.spaces:
                numbers = [float(entry) for entry in condition.get(name, [f"{usual}"] * count)]
                values[name] = torch.tensor(numbers)[:, None]
        asked = {name: tuple(entries) for name, entries in condition.items()}
        return Latent(values=values, condition=asked, seeds=tuple(seeds), truncation=truncation)

    def _drawings(self, condition: Mapping[str, Sequence[str]], count: int) -> Tensor:
        given = [name for name in DRAWINGS if name in condition]
        if len(given) > 1:
            raise BadInput(f"a picture follows one drawing; give either {' or '.join(given)}")
        if not given:
            return torch.zeros(count, *self.spaces["drawing"].shape)
        pictures = torch.cat([read_entry(entry, self.picture_size) for entry in condition[given[0]]])
        return as_drawing(pictures, given[0])

    def phrase(self, prompt: str) -> Tensor:
        """Return the values of a prompt in the space ``prompt``, (slots, width).

        Warns:
            UnknownWords: some of its words are unknown and were passed over.

        Raises:
            BadInput: it has no known words, or a weight is not above 0.
        """
        parts = parse_prompt(prompt)
        for phrase, _ in parts:
            self.network.vocabulary.check(phrase)
        return torch.stack([weight * self._values(phrase) for phrase, weight in parts]).sum(0)

    def _values(self, phrase: str) -> Tensor:
        """Read a phrase, "" for none, on its own, so that its values do not depend on what else is asked; keep them."""
        if phrase not in self._read:
            values = self.network.read([phrase])
            assert values is not None, "only networks that know words have the space"
            self._read[phrase] = values[0]
        return self._read[phrase]

    def phrase_knob(self, towards: str, away: str = "", *, name: str | None = None) -> LinearKnob:
        """Return the knob that leads from one phrase, or none, to another: at 1 it has added all of their difference.

        Raises:
            BadInput: a phrase has no known words.
        """
        return LinearKnob(
            name=name or towards,
            space="prompt",
            direction=(self.phrase(towards) - (self.phrase(away) if away else self._values(""))).cpu(),
            unit="absolute",
            range=(-1.0, 2.0),
            provenance=Provenance("", self.fingerprint, "phrases", {"towards": towards, "away": away}),
        )

    def stepper(self, sampler: Sampler | None = None) -> Stepper:
        """Return the stepper of a sampler, by default the final one: 50 evenly spread steps.

        Raises:
            BadInput: the steps are not 1 to the number of levels, or levels are listed that there are not.
        """
        sampler = sampler or self.samplers["final"]
        return Stepper(self.schedule, self._levels(sampler), self.prediction, sampler.eta)

    def _levels(self, sampler: Sampler) -> Levels:
        """Return the levels that a sampler visits: just those it lists, where it lists any."""
        count = len(self.schedule)
        if sampler.spacing == "custom":
            return Levels((CLEAN, *sampler.levels), count)
        offset = self.config.schedule.get("steps_offset", 0) if sampler.spacing == "leading" else 0
        return Levels.spread(count, sampler.steps, sampler.spacing, offset=offset, low_levels=self.config.low_levels)

    def stages(self, latent: Latent, sampler: Sampler | None = None) -> Sequence[Stage]:
        """Return one stage a step, its interval in 1 − t / T."""
        stages = self.stepper(sampler).levels.stages({*self.told, "bottleneck", "bottleneck.p"})
        return [replace(stages[0], spaces=stages[0].spaces | {"noise"}), *stages[1:]]

    def begin(self, latent: Latent, sampler: Sampler | None = None) -> State:
        """Return the noise, and what the network is told."""
        stepper = self.stepper(sampler)
        noise = latent["noise"]
        constant = {
            "times": torch.tensor(stepper.levels.times).expand(len(latent), -1),
            "eta": torch.full((len(latent),), stepper.eta),
            "dice": torch.tensor([_hash(row) for row in noise] if stepper.eta > 0 else [0] * len(latent)),
        }
        told = {name: latent[name] for name in self.told}
        return State({**constant, **told, "x": noise, "guess": noise}, latent.truncation)

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        """Go down one noise level."""
        tensors = state.tensors
        stepper = self._stepper_of(state)
        t, s = stepper.levels.down[stage.index]
        x = steering("noise", stage, tensors["x"]) if stage.index == 0 else tensors["x"]
        told = {name: steering(name, stage, tensors[name]) for name in self.told}
        output, output_p = self._predict(x, t, told, _Bend(steering, stage, len(x)))
        fresh = None
        if stepper.eta > 0:
            fresh = draw_normal(tensors["dice"].tolist(), f"fresh noise:{t}", x.shape[1:]).to(x)
        landed, guess = stepper.step(x, output, t, s, fresh), stepper.guess(x, output, t)
        if output_p is not output:
            moved = stepper.guess(x, output_p, t)
            landed = landed + math.sqrt(self.schedule.alpha_bar(s)) * (moved - guess)
            guess = moved
        return State({**tensors, "x": landed, "guess": landed if s == CLEAN else guess}, state.truncation)

    def _stepper_of(self, state: State) -> Stepper:
        levels = Levels(tuple(state.tensors["times"][0].tolist()), len(self.schedule))
        return Stepper(self.schedule, levels, self.prediction, float(state.tensors["eta"][0]))

    def denoiser(self, latent: Latent) -> Denoiser:
        """Return the network with the latent's words, drawing and guidance put in and nothing turned."""
        told = {name: latent[name] for name in self.told}
        return lambda x, t: self._predict(x, t, told, _Bend())[0]

    def _predict(self, x: Tensor, t: int, told: Mapping[str, Tensor], bend: "_Bend") -> tuple[Tensor, Tensor]:
        """Return what is predicted, and what it is with ``bottleneck.p`` turned too: the same object where it is not.

        Guided rows run in one batch with themselves unasked, plain rows in a batch of all rows: so no row's bits depend
        on whether another one is guided.
        """
        prompt, drawing = told.get("prompt"), told.get("drawing")
        if drawing is not None:
            drawing = drawing * told["strength"][..., None, None]
        guided = self._guided(prompt, drawing, told)
        plain = None if bool(guided.all()) else self._run(x, t, prompt, drawing, bend)
        if plain is not None and not bool(guided.any()):
            return plain
        open_ended = None if prompt is None else self._values("").expand_as(prompt)
        blank = None if drawing is None else torch.zeros_like(drawing)
        both = self._run(_joined(x, x), t, _joined(prompt, open_ended), _joined(drawing, blank), bend)
        guidance = told["guidance"][..., None, None]  # (batch, 1, 1, 1)

        def combined(outputs: Tensor, alone: Tensor | None) -> Tensor:
            asked, unasked = outputs.chunk(2)
            result = torch.lerp(unasked, asked, guidance)
            return result if alone is None else torch.where(guided[:, None, None, None], result, alone)

        output = combined(both[0], plain and plain[0])
        return output, output if bend.by_p is None else combined(both[1], plain and plain[1])

    def _run(
        self, x: Tensor | None, t: int, prompt: Tensor | None, drawing: Tensor | None, bend: "_Bend"
    ) -> tuple[Tensor, Tensor]:
        passage = Passage(self.network, (x, t, prompt, drawing))
        output = passage.output(bend.turn)
        return output, output if bend.by_p is None else passage.output(bend.turn_p)

    def _guided(self, prompt: Tensor | None, drawing: Tensor | None, told: Mapping[str, Tensor]) -> Tensor:
        """Return the rows that are asked for something and whose guidance is not 1, (batch,)."""
        if "guidance" not in told:
            return torch.zeros(1, dtype=torch.bool)
        asked = torch.zeros_like(told["guidance"][:, 0], dtype=torch.bool)
        if prompt is not None:
            asked = asked | (prompt != self._values("")).flatten(1).any(1)
        if drawing is not None:
            asked = asked | (drawing != 0).flatten(1).any(1)
        return asked & (told["guidance"][:, 0] != 1)

    def picture(self, state: State) -> Tensor:
        """Return the picture; midway, the clean picture that was guessed in the last step."""
        return _as_picture(state.tensors["guess"])

    def noisy_picture(self, state: State) -> Tensor:
        """Return the state itself, noise and all; noise goes beyond what a picture can show, and is clipped there."""
        return _as_picture(state.tensors["x"])

    def noise_levels(self) -> Tensor:
        """Return alpha_bar at every noise level, (levels,)."""
        return self.schedule.alpha_bars

    def invert(
        self,
        picture: Tensor,
        *,
        condition: Mapping[str, Sequence[str]],
        sampler: Sampler | None,
        progress: Progress | None,
        method: Method = "anderson",
        iterations: int = 12,
    ) -> Found:
        """Find the noise that leads to a picture, and store the way.

        Args:
            picture: (1, 3, height, width) in [0, 1].
            condition: what is in it: words, or a drawing to follow. With none, one pass of the network a step does.
            sampler: the sampler to invert; by default of 50 evenly spread steps.
            progress: called after every step.
            method: "anderson", exact up to rounding; "fixed_point" and "ddim", plain inversion, for comparison.
            iterations: how often the state of a step is improved at most.

        Raises:
            BadInput: the sampler draws fresh noise, or an option is not usable.
        """
        latent = self.sample([0], condition=condition).to(picture.device)
        options = {"method": method, "iterations": iterations}
        inversion = invert(
            self.denoiser(latent),
            2 * picture - 1,
            self.stepper(sampler),
            method=method,
            iterations=iterations,
            progress=progress,
        )
        return inversion.found(latent.with_values("noise", inversion.noise), sampler or self.samplers["final"], options)

    def chart(self) -> Chart:
        """Return what the doctor examines."""
        config = self.config
        return Chart(config.schedule, self.network.config.unet, clean=config.clean, low_levels=config.low_levels)

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        """Return None: no space of a diffusion model is an affine function of another."""
        return None

    def shipped_knobs(self) -> KnobSet:
        """Return the knobs beside the weights; an empty set where there are none."""
        path = self.home / KNOBS if self.home else None
        return load_knobs(path) if path and path.is_file() else KnobSet({})

    def setting_knobs(self) -> KnobSet:
        """Return knobs for guidance and strength; they do nothing to a picture that nothing was asked of."""
        ranges = {"guidance": (-self.config.guidance, 4.0), "strength": (-1.0, 0.0)}
        return KnobSet(
            {
                name: LinearKnob(name, name, torch.ones(1), "absolute", ends)
                for name, ends in ranges.items()
                if name in self.spaces
            }
        )


def _joined(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second])


class _Bend:
    """How the bottleneck is turned in one stage: found out in the first pass and repeated in the others.

    A turn sees one row a picture, and what it does is repeated where a pass runs several times as many.

    Args:
        steering: what turns the values; nothing where None.
        stage: the stage.
        rows: how many pictures there are.
    """

    def __init__(self, steering: SteeringCall | None = None, stage: Stage | None = None, rows: int = 0) -> None:
        self.steering, self.stage, self.rows = steering, stage, rows
        self.by: Tensor | None = None
        self.by_p: Tensor | None = None

    def turn(self, h: Tensor) -> Tensor:
        """Move what is in the bottleneck for all that is predicted."""
        if self.steering is not None and self.stage is not None:
            self._look(self.steering, self.stage, h[: self.rows])
            self.steering = None
        return _moved(h, self.by)

    def turn_p(self, h: Tensor) -> Tensor:
        """Move it for the clean picture alone; only after `turn`."""
        return _moved(_moved(h, self.by), self.by_p)

    def _look(self, steering: SteeringCall, stage: Stage, h: Tensor) -> None:
        turned = steering("bottleneck", stage, h)
        turned_p = steering("bottleneck.p", stage, turned)
        if turned is not h:
            self.by = turned - h
        if turned_p is not turned:
            start, end = stage.interval
            self.by_p = (end - start) / REFERENCE_WIDTH * (turned_p - turned)


def _moved(h: Tensor, by: Tensor | None) -> Tensor:
    return h if by is None else h + by.repeat(len(h) // len(by), 1, 1, 1)


def _as_picture(values: Tensor) -> Tensor:
    return ((values + 1) / 2).clamp(0, 1)


def _hash(row: Tensor) -> int:
    """Return a seed that belongs to a row of noise, wherever it stands."""
    return int.from_bytes(hashlib.sha256(row.detach().cpu().numpy().tobytes()).digest()[:6], "big")


def fingerprint(network: DenoisingNetwork, config: DDIMConfig) -> str:
    """Return a hash of a network's weights and of all that decides what they draw."""
    used = asdict(config)
    del used["draft_steps"]  # knobs and recipes outlive another choice of drafts
    parts = {"network": asdict(network.config), "config": used}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_model(
    folder: Path, network: DenoisingNetwork, config: DDIMConfig, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write ``config.json`` and ``weights.safetensors`` into a folder that is there."""
    weights = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    write_tensors(folder / WEIGHTS, weights, {"generator": GENERATOR, "schema": SCHEMA})
    stored = {"generator": GENERATOR, "schema": SCHEMA, "network": asdict(network.config), **asdict(config)}
    write_text(folder / CONFIG, json.dumps(stored, indent=2) + "\n")


def load(folder: Path) -> DDIM:
    """Load a diffusion model from a folder that `write_model` or a pipeline of diffusers wrote.

    Raises:
        BadInput: the folder lacks a file.
        BrokenFile: the files are corrupted, of a newer schema, or do not fit each other.
    """
    if foreign_kind(folder) is not None:
        return DDIM(*read_diffusers(folder), home=folder)
    path = folder / CONFIG
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.pop("schema") > SCHEMA:
            raise BrokenFile(f"'{path}' has a newer schema than {SCHEMA}; update latent-steer to read it")
        stored.pop("generator")
        shape = stored.pop("network")
        network = DenoisingNetwork(NetworkConfig(vocabulary=tuple(shape.pop("vocabulary")), **shape))
        config = DDIMConfig(**stored)
        network.load_state_dict(read_weights(folder / WEIGHTS))
        return DDIM(network, config, home=folder)
    except FileNotFoundError as error:
        raise BadInput(f"the folder '{folder}' has no config.json, so it is no generator") from error
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise BrokenFile(
            f"'{path}' and '{WEIGHTS}' beside it are no diffusion model ({error}); fetch or make both again"
        ) from error


def read_diffusers(source: Path) -> tuple[DenoisingNetwork, DDIMConfig]:
    """Read an unconditional diffusion model in the layout of diffusers.

    Args:
        source: a folder with ``unet`` and ``scheduler`` in it, or with the files of both.

    Raises:
        BadInput: a file is missing, or it is no unconditional model of RGB pictures.
        BrokenFile: a file is corrupted.
    """
    places = {name: source / name if (source / name).is_dir() else source for name in ("unet", "scheduler")}
    unet = _read_json(places["unet"] / CONFIG)
    schedule = _read_json(places["scheduler"] / "scheduler_config.json")
    if unet.get("_class_name") != "UNet2DModel" or unet.get("in_channels", 3) != 3 or unet.get("num_class_embeds"):
        raise BadInput(
            f"'{places['unet']}' is no unconditional model of RGB pictures (a UNet2DModel without classes, of 3 "
            f"channels); it is a {unet.get('_class_name')} of {unet.get('in_channels')} channels"
        )
    shape = NetworkConfig("UNet2DModel", _public(unet), resolution=int(unet["sample_size"]))
    network = DenoisingNetwork(shape)
    network.unet.load_state_dict(_read_unet(places["unet"]))
    return network, DDIMConfig(_public(schedule), clean=None, low_levels=0)


def _read_unet(folder: Path) -> dict[str, Tensor]:
    """Read weights by diffusers, which knows the names that older versions of it gave to them; none may be missing."""
    from diffusers import UNet2DModel

    if not any(folder.glob("diffusion_pytorch_model*.*")):
        raise BadInput(f"there are no weights in '{folder}' (diffusion_pytorch_model.safetensors); fetch them again")
    try:
        unet, loading = UNet2DModel.from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32, output_loading_info=True
        )
    except (OSError, TypeError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise BrokenFile(f"the weights in '{folder}' do not fit its config.json ({error}); fetch both again") from error
    misfits = [name for names in loading.values() for name in names]
    if misfits:
        raise BrokenFile(f"{len(misfits)} weights in '{folder}' do not fit its config.json, such as {misfits[0]}")
    return dict(unet.state_dict())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise BadInput(f"there is no '{path}'; give a folder as diffusers saves it, with unet and scheduler") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise BrokenFile(f"'{path}' is no configuration ({error}); fetch it again") from error


def _public(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}
