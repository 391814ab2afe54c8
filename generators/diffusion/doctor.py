"""The doctor: what in a diffusion model's configuration breaks sampling, or the way back from a picture.

Each finding is one that was met in published code or models. What this toolkit's own sampler passes over, because it
walks on explicit levels and clips nothing, still matters to whoever samples the same model elsewhere.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open

from steer.backend import Sampler
from steer.errors import BadInput, BrokenFile
from steer.generator import Generator
from steer.generators.diffusion.schedule import Schedule
from steer.inversion import Report

Weight = Literal["here too", "elsewhere"]

NOISY_ENOUGH = 0.01
"""The most of the picture, as an amplitude, that the top level may keep to count as noise."""

SEED = 0
"""The seed of the picture that goes there and back."""

HALF = frozenset({"F16", "BF16", "float16", "bfloat16"})


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        name: its short name, such as "clip_sample".
        matters: "here too", or only "elsewhere", where this toolkit's sampler passes over it.
        problem: what it does, in one sentence.
        cure: what to do.
    """

    name: str
    matters: Weight
    problem: str
    cure: str


@dataclass(frozen=True)
class Chart:
    """What the doctor reads: configurations as diffusers writes them.

    Attributes:
        scheduler: that of the scheduler; what it leaves out is as in diffusers' ``DDIMScheduler``.
        network: that of the U-Net.
        autoencoder: that of the autoencoder; empty where pictures are not encoded.
        precision: the number types of the stored weights, as safetensors names them.
        clean: alpha_bar of the clean level where the model chooses it itself; None as the scheduler says.
        low_levels: how many low levels the sampler adds.
    """

    scheduler: Mapping[str, Any]
    network: Mapping[str, Any] = field(default_factory=dict)
    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    precision: frozenset[str] = frozenset()
    clean: float | None = None
    low_levels: int = 0


@runtime_checkable
class Charted(Protocol):
    """A backend that the doctor can examine."""

    def chart(self) -> Chart:
        """Return what there is to examine."""
        ...


def round_trip(generator: Generator, steps: int = 50) -> Report:
    """Draw a picture, invert it, and return how well that went; ``steps`` is for generators that have a choice.

    Raises:
        BadInput: the generator cannot invert.
    """
    with torch.no_grad():
        (picture,) = generator.decode(generator.sample([SEED]))
    sampler = Sampler(steps) if generator.backend.samplers else None
    return generator.invert(picture, sampler=sampler).report


def examine(chart: Chart, steps: int = 50) -> tuple[Finding, ...]:
    """Return what a configuration does wrong, with ``steps`` steps; empty where all is well.

    Raises:
        BadInput: the steps are not 1 to the number of levels, or it makes no schedule.
        UnknownName: it names a schedule that is unknown here.
    """
    if not 1 <= steps <= _count(chart):
        raise BadInput(f"steps are 1 to {_count(chart)}, the levels that the denoiser was trained on; not {steps}")
    return tuple(finding for check in _CHECKS for finding in check(chart, steps))


def _clip_sample(chart: Chart, steps: int) -> Sequence[Finding]:
    if not chart.scheduler.get("clip_sample", True):
        return ()
    problem = "the guessed picture is clipped in every step, so that many noises lead to one picture and none back"
    return (Finding("clip_sample", "elsewhere", problem, 'set "clip_sample": false in the scheduler\'s configuration'),)


def _thresholding(chart: Chart, steps: int) -> Sequence[Finding]:
    if not chart.scheduler.get("thresholding", False):
        return ()
    problem = "the guessed picture is scaled by its own quantiles in every step, which cannot be undone"
    return (Finding("thresholding", "elsewhere", problem, 'set "thresholding": false, and clip the picture once'),)


def _stride(chart: Chart, steps: int) -> Sequence[Finding]:
    count, spacing = _count(chart), _spacing(chart)
    if spacing == "leading" or (spacing == "trailing" and count % steps == 0):
        return ()
    problem = (
        f"diffusers steps down by {count // steps} levels whatever the spacing, so that with '{spacing}' and {steps} "
        "steps it lands beside the levels it visits next"
    )
    cure = "take 'leading', or 'trailing' with a number of steps that divides the levels; the sampler here is right"
    return (Finding(f"{spacing} stride", "elsewhere", problem, cure),)


def _top_level(chart: Chart, steps: int) -> Sequence[Finding]:
    count = _count(chart)
    top = count - 1
    if _spacing(chart) == "leading":
        top = min((steps - 1) * (count // steps) + int(chart.scheduler.get("steps_offset", 0)), count - 1)
    kept = math.sqrt(Schedule.from_config(chart.scheduler).alpha_bar(top))
    findings = []
    if top < count - 1:
        problem = (
            f"'leading' with {steps} steps begins at level {top} of {count - 1}, where {kept:.1%} of the picture's "
            "amplitude is left, but samples begin with pure noise there"
        )
        findings.append(Finding("uncovered top level", "elsewhere", problem, "take 'trailing', as is the default here"))
    full = math.sqrt(Schedule.from_config(chart.scheduler).alpha_bar(count - 1))
    if full > NOISY_ENOUGH:
        problem = (
            f"at the top level {full:.1%} of the picture's amplitude is left, so that noise found for a picture keeps "
            "its brightness and drawn noise never had any"
        )
        cure = 'set "rescale_betas_zero_snr": true for a model that predicts v, or train to pure noise'
        findings.append(Finding("signal in the noise", "here too", problem, cure))
    return findings


def _alpha_to_one(chart: Chart, steps: int) -> Sequence[Finding]:
    to_one, offset = chart.scheduler.get("set_alpha_to_one", True), int(chart.scheduler.get("steps_offset", 0))
    if chart.clean is not None:
        return ()
    if not to_one and offset == 0 and _spacing(chart) == "leading":
        problem = "the last step goes from level 0 to level 0 and does nothing, so that the picture keeps noise"
        return (Finding("alpha_to_one", "here too", problem, 'set "set_alpha_to_one": true, or "steps_offset": 1'),)
    if to_one and chart.low_levels == 0:
        problem = (
            "the clean level keeps no noise at all, so that only pictures the network draws exactly have a way back "
            "through the last step"
        )
        cure = "set a clean level of 1 - 1e-6 and two low levels in the model's configuration here"
        return (Finding("alpha_to_one", "here too", problem, cure),)
    return ()


def _zero_snr(chart: Chart, steps: int) -> Sequence[Finding]:
    zero = chart.scheduler.get("rescale_betas_zero_snr", False)
    if not zero or chart.scheduler.get("prediction_type", "epsilon") != "epsilon":
        return ()
    problem = "the top level holds nothing but noise, and predicting that says nothing about the picture"
    return (
        Finding("zero SNR with epsilon", "here too", problem, "train with v_prediction, or leave the rescaling out"),
    )


def _half_precision(chart: Chart, steps: int) -> Sequence[Finding]:
    named = {str(each.get("torch_dtype", each.get("dtype", ""))) for each in (chart.network, chart.scheduler)}
    if not (chart.precision | {name.removeprefix("torch.") for name in named}) & HALF:
        return ()
    problem = "run in half precision, latents round off in every step, and exact inversion misses by percents"
    cure = "keep latents and schedule in float32, as is done here; the weights alone may be halved"
    return (Finding("half precision", "elsewhere", problem, cure),)


def _encoder(chart: Chart, steps: int) -> Sequence[Finding]:
    if not chart.autoencoder:
        return ()
    problem = "the autoencoder draws its code from a distribution, so that one picture has another latent every time"
    findings = [Finding("stochastic encoding", "elsewhere", problem, "take the mode: latent_dist.mode(), not sample()")]
    if chart.autoencoder.get("force_upcast", False):
        problem = "the autoencoder overflows in float16"
        findings.append(Finding("autoencoder precision", "elsewhere", problem, "run it in float32"))
    return findings


_CHECKS: Sequence[Callable[[Chart, int], Sequence[Finding]]] = (
    _clip_sample,
    _thresholding,
    _stride,
    _top_level,
    _alpha_to_one,
    _zero_snr,
    _half_precision,
    _encoder,
)


def _count(chart: Chart) -> int:
    return int(chart.scheduler.get("num_train_timesteps", 1000))


def _spacing(chart: Chart) -> str:
    return str(chart.scheduler.get("timestep_spacing", "leading"))


def read_chart(folder: Path) -> Chart:
    """Read the configurations in a folder as diffusers saves it; weights need not be there.

    Raises:
        BadInput: the folder describes no diffusion model.
        BrokenFile: a configuration is no JSON, or weights are cut short.
    """
    places = [folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json"]
    scheduler = next((path for path in places if path.is_file()), None)
    if scheduler is None:
        raise BadInput(
            f"'{folder}' describes no diffusion model; give a folder with scheduler/scheduler_config.json as diffusers "
            "saves it, or the name of a generator"
        )
    network = _read_json(folder / "unet" / "config.json") or _read_json(folder / "config.json")
    weights = [path for place in ("unet", ".") for path in sorted((folder / place).glob("*.safetensors"))]
    return Chart(
        _read_json(scheduler),
        network,
        _read_json(folder / "vae" / "config.json"),
        frozenset().union(*map(_precision, weights)),
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, UnicodeDecodeError) as error:
        raise BrokenFile(f"'{path}' is no configuration ({error}); fetch it again") from error


def _precision(path: Path) -> frozenset[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return frozenset(file.get_slice(name).get_dtype() for name in file.keys())
    except (SafetensorError, OSError) as error:
        raise BrokenFile(f"'{path}' is not a whole safetensors file ({error}); fetch it again") from error


def as_records(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return findings as JSON."""
    return [asdict(finding) for finding in findings]
