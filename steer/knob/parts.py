"""The parts of a knob, JSON and tensors: the form that it has in files and recipes."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from steer.errors import BrokenFile
from steer.knob.arc_knob import ArcKnob
from steer.knob.calibrated_knob import CalibratedKnob
from steer.knob.curve_knob import CurveKnob
from steer.knob.flow_knob import FlowKnob
from steer.knob.linear_knob import LinearKnob
from steer.knob.protocol import Knob
from steer.knob.provenance import Provenance
from steer.knob.ring_knob import RingKnob
from steer.knob.window import Window

KNOB_KINDS: Mapping[str, Callable[..., Knob]] = {
    kind.kind: kind for kind in (LinearKnob, ArcKnob, RingKnob, CalibratedKnob, FlowKnob, CurveKnob)
}


def knob_to_parts(knob: Knob) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Split a knob into JSON and tensors, the form it has in files and recipes."""
    record: dict[str, Any] = {"kind": knob.kind}
    tensors: dict[str, Tensor] = {}
    for entry in fields(knob):
        value = getattr(knob, entry.name)
        if isinstance(value, Tensor):
            kept = value.detach().cpu()
            tensors[entry.name] = kept if kept.dtype == torch.float16 else kept.float()
        elif isinstance(value, Window):
            record[entry.name] = [value.start, value.end]
        elif isinstance(value, Provenance):
            record[entry.name] = {part.name: getattr(value, part.name) for part in fields(value)}
        elif isinstance(value, Knob):
            record[entry.name], within = knob_to_parts(value)
            tensors.update({f"{entry.name}/{name}": tensor for name, tensor in within.items()})
        else:
            record[entry.name] = list(value) if isinstance(value, tuple) else value
    return record, tensors


def knob_from_parts(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Knob:
    """Put a knob together again.

    Raises:
        BrokenFile: the parts do not make a knob of a known kind.
    """
    parts: dict[str, Any] = {**record, **tensors}
    kind = parts.pop("kind", None)
    if kind not in KNOB_KINDS:
        raise BrokenFile(f"a knob of kind '{kind}' is unknown here; there are {', '.join(KNOB_KINDS)}")
    try:
        if "base" in record:
            within = {name[5:]: parts.pop(name) for name in tensors if name.startswith("base/")}
            parts["base"] = knob_from_parts(record["base"], within)
        parts = {name: tuple(value) if isinstance(value, list) else value for name, value in parts.items()}
        parts["window"] = Window(*parts["window"])
        parts["provenance"] = Provenance(**parts["provenance"])
        return KNOB_KINDS[kind](**parts)
    except (KeyError, TypeError) as error:
        raise BrokenFile(f"the knob '{parts.get('name')}' is incomplete ({error}); find and save it again") from error
