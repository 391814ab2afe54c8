"""States that are kept, so that a slider's move starts where the picture first changes."""

from collections import OrderedDict
from threading import Lock

from steer.backend import State


class StateCache:
    """The states used last, up to a number of bytes; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, Lock()
        self._states: OrderedDict[object, State] = OrderedDict()

    def get(self, key: object) -> State | None:
        """Return a state, or None."""
        with self._lock:
            if key in self._states:
                self._states.move_to_end(key)
            return self._states.get(key)

    def put(self, key: object, state: State) -> None:
        """Keep a state, dropping the ones unused for longest."""
        if _bytes(state) > self._limit:
            return
        with self._lock:
            self._states[key] = state
            while sum(map(_bytes, self._states.values())) > self._limit:
                self._states.popitem(last=False)


def _bytes(state: State) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in state.tensors.values())
