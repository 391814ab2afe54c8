"""Knobs: one displacement of a space's values per amount, with unit, range, window and provenance.

- `protocol`: what a knob can do, whatever its kind; `window` and `provenance`: where it acts and where it comes from.
- The kinds, one a module: `linear_knob`, `arc_knob` (great circles), `ring_knob`, `calibrated_knob` (counted in its
  attribute), `flow_knob` (the shortest way along an attribute) and `curve_knob` (bent by where a sample stands).
- What kinds share: `edges` of those that change on the way, `context` of those with a network, and `rowwise`.
- `parts`: the form that a knob has in files and recipes; `knob_set`: knobs by name, and their files.

Every kind lists all of its fields itself, in the order in which recipes write them and its class takes them.
"""

from steer.knob.arc_knob import ArcKnob
from steer.knob.calibrated_knob import CalibratedKnob
from steer.knob.curve_knob import CurveKnob
from steer.knob.flow_knob import FlowKnob
from steer.knob.knob_set import KNOB_SCHEMA, KnobSet, load_knobs
from steer.knob.linear_knob import LinearKnob
from steer.knob.parts import KNOB_KINDS, knob_from_parts, knob_to_parts
from steer.knob.protocol import Changing, Knob, Situated, adopt, given, is_round
from steer.knob.provenance import Provenance
from steer.knob.ring_knob import RingKnob
from steer.knob.window import WHOLE, Window

__all__ = [
    "KNOB_KINDS",
    "KNOB_SCHEMA",
    "WHOLE",
    "ArcKnob",
    "CalibratedKnob",
    "Changing",
    "CurveKnob",
    "FlowKnob",
    "Knob",
    "KnobSet",
    "LinearKnob",
    "Provenance",
    "RingKnob",
    "Situated",
    "Window",
    "adopt",
    "given",
    "is_round",
    "knob_from_parts",
    "knob_to_parts",
    "load_knobs",
]
