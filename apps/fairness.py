"""A lock that is taken in the order of asking, so that nobody at a shared model waits twice for the same one."""

from collections import deque
from threading import Lock


class FairLock:
    """A lock; whoever has waited longest gets it next."""

    def __init__(self) -> None:
        self._guard, self._held = Lock(), False
        self._waiting: deque[Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    @property
    def held(self) -> bool:
        """Whether anybody has it."""
        return self._held

    def step_aside(self) -> None:
        """Let everybody who waits go first, and take the lock again."""
        self.__exit__()
        self.__enter__()
