"""Sets of knobs by name, and the files that hold them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from steer.door import expect
from steer.errors import BrokenFile, UnknownName
from steer.files import read_tensors, write_tensors
from steer.knob.parts import knob_from_parts, knob_to_parts
from steer.knob.protocol import Knob

KNOB_SCHEMA = 3
"""2 came with knobs that change on the way, 3 with tensors that knobs share and knobs along flows and curves."""


class KnobSet(Mapping[str, Knob]):
    """Knobs by name, and what their finder has to say about them.

    Attributes:
        report: diagnostics of the finder, JSON-able.
    """

    def __init__(self, knobs: Mapping[str, Knob], report: Mapping[str, Any] | None = None) -> None:
        self._knobs = dict(knobs)
        self.report: Mapping[str, Any] = dict(report or {})

    def __getitem__(self, name: str) -> Knob:
        if name not in self._knobs:
            raise UnknownName("knob", name, self._knobs)
        return self._knobs[name]

    def __contains__(self, name: object) -> bool:
        return name in self._knobs

    def __iter__(self) -> Iterator[str]:
        return iter(self._knobs)

    def __len__(self) -> int:
        return len(self._knobs)

    def only(self, *names: str) -> "KnobSet":
        """Return some knobs of the set.

        Raises:
            UnknownName: there is no such knob.
        """
        return KnobSet({name: self[name] for name in names}, self.report)

    def __or__(self, other: "KnobSet") -> "KnobSet":
        """Return both sets' knobs; a name in both is the other's."""
        return KnobSet({**self._knobs, **other._knobs}, {**self.report, **other.report})

    def __repr__(self) -> str:
        return f"KnobSet({', '.join(self._knobs) or 'empty'})"

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with a JSON header; a tensor that knobs share is written once."""
        records, tensors, shared = [], {}, {}
        first: dict[tuple[int, torch.Size], str] = {}
        for knob in self.values():
            record, parts = knob_to_parts(knob)
            records.append(record)
            for name, tensor in parts.items():
                entry = f"{knob.name}/{name}"
                written = first.setdefault((tensor.data_ptr(), tensor.shape), entry) if tensor.numel() else entry
                if written == entry:
                    tensors[entry] = tensor
                else:
                    shared[entry] = written
        header = {"schema": KNOB_SCHEMA, "kind": "knobs", "knobs": records, "shared": shared, "report": self.report}
        write_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> "KnobSet":
        """Read what `save` wrote.

        Raises:
            BadInput: there is no such file, or it is a pickle.
            BrokenFile: it holds no knobs, or knobs of a newer schema.
        """
        tensors, header = read_tensors(path)
        if header.get("kind") != "knobs":
            raise BrokenFile(f"'{path}' holds no knobs; make such a file with: steer find FINDER GENERATOR --out FILE")
        if header["schema"] > KNOB_SCHEMA:
            raise BrokenFile(
                f"'{path}' has knob schema {header['schema']}, newer than {KNOB_SCHEMA}; update latent-steer"
            )
        tensors |= {entry: tensors[written] for entry, written in header.get("shared", {}).items()}
        knobs = {}
        for record in header["knobs"]:
            prefix = f"{record['name']}/"
            parts = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            knobs[record["name"]] = knob_from_parts(record, parts)
        return cls(knobs, header["report"])


def load_knobs(path: str | Path) -> KnobSet:
    """Read a knob file.

    Raises:
        BadInput: there is no such file, or it is a pickle.
        BrokenFile: it holds no knobs, or knobs of a newer schema.
    """
    expect(path, str | Path, "a knob file is loaded from its path")
    return KnobSet.load(path)
