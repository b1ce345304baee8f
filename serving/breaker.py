"""Whether the model is asked at all: after failures in a row it is left alone for a while, then tried with one batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Closed (asks), open (does not) or half open (one trial is out). Shared by threads."""

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Opens after so many ``failures`` in a row; ``seconds`` until the next trial, doubled after each that fails, at most 32 times."""
        self._most, self._seconds, self._clock = failures, seconds, clock
        self._lock = threading.Lock()
        self._failed = 0
        self._trials = 0
        self._until = 0.0
        self._trial = False

    def allows(self) -> bool:
        """Whether to ask now. A True while the breaker is open is the one trial: its outcome has to be told."""
        with self._lock:
            if self._failed < self._most:
                return True
            if self._trial or self._clock() < self._until:
                return False
            self._trial = True
            return True

    @property
    def open(self) -> bool:
        """Whether the last batches failed and no trial has succeeded since."""
        with self._lock:
            return self._failed >= self._most

    def succeeded(self) -> None:
        """Closes it."""
        with self._lock:
            self._failed = self._trials = 0
            self._trial = False

    def failed(self, *, at_once: bool = False) -> None:
        """Counts a failure; ``at_once`` opens whatever the count was, as after a batch that hung."""
        with self._lock:
            self._failed = max(self._failed + 1, self._most if at_once else 0)
            if self._failed >= self._most:
                self._until = self._clock() + self._seconds * min(2**self._trials, 32)
                self._trials += 1
            self._trial = False

    def dropped(self) -> None:
        """The trial came to nothing: it was refused or its client went away before the model was asked."""
        with self._lock:
            self._trial = False
