"""Texts that come again, as «всё хорошо» does: the same text has the same answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b

from otklik.serving.labeller import Row

_MOST = 30_000  # answers of about 2 KB


class Repeats:
    """Answers of the last different texts, by a digest of text, mark and channel; shared by threads."""

    def __init__(self, answer: Callable[[Sequence[Row]], list[str]], most: int = _MOST) -> None:
        """``answer`` must not depend on the ids of the rows, nor on the others that it gets together with one."""
        self._answer, self._most = answer, most
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[Row]) -> list[str]:
        """An answer a row, in order."""
        keys = [blake2b(repr(row[1:]).encode("utf-8", "surrogatepass"), digest_size=16).digest() for row in rows]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in found}
        if new:
            found |= zip(new, self._answer(list(new.values())), strict=True)
        with self._lock:
            for key in dict.fromkeys(keys):
                self._known[key] = found[key]
                self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return [found[key] for key in keys]
