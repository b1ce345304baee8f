"""API keys: only their hashes are kept; the file is read again when it changes, so that keys are rotated without a restart."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)

Role = Literal["client", "admin"]

_LINE = re.compile(r"(?P<name>[\w.-]{1,64})\s+(?P<role>client|admin)\s+(?P<hash>[0-9a-f]{64})")
_LOOK_AGAIN = 1.0  # seconds


class KeysError(ValueError):
    """A file of keys that cannot be used; the message names every line."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose key it is."""

    name: str
    role: Role


ANYBODY = Holder("anonymous", "client")


def new_key() -> str:
    """256 random bits: long enough that a plain SHA-256 protects it, no slow hash needed."""
    return f"otk_{secrets.token_urlsafe(32)}"


def line(name: str, role: Role, key: str) -> str:
    """What stands in the file for a key."""
    made = f"{name} {role} {_hash(key)}"
    if not _LINE.fullmatch(made):
        raise KeysError(f"«{name}»: a name has 1 to 64 letters, digits, dots, dashes and underscores")
    return made


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """Who may ask. Without any key everybody may, as a client; nobody is an admin then."""

    def __init__(self, file: Path | None, given: str = "") -> None:
        """Raises `KeysError`."""
        self._file = file
        self._given = _read((part.strip() for part in given.split(",")), "OTKLIK_KEYS")
        self._lock = threading.Lock()
        self._looked = 0.0
        self._state: tuple[int, int, int] | None = None
        self._kept: Mapping[str, Holder] = {}
        if file:
            self._kept = self._load(file)

    @property
    def required(self) -> bool:
        """Whether a request has to show a key."""
        return bool(self._given or self._file)

    def holder(self, key: str | None) -> Holder | None:
        """Whose key this is. Every known hash is compared, in constant time each, so that time tells nothing about them."""
        if not self.required:
            return ANYBODY
        asked = _hash(key or "")
        found = None
        for known, holder in {**self._current(), **self._given}.items():
            if hmac.compare_digest(known, asked):
                found = holder
        return found if key else None

    def _current(self) -> Mapping[str, Holder]:
        """A file that has become unreadable does not lock anybody out: the keys that were read last stay, and the log says so."""
        with self._lock:
            if self._file and time.monotonic() - self._looked > _LOOK_AGAIN:
                self._looked = time.monotonic()
                try:
                    if self._stamp(self._file) != self._state:
                        self._kept = self._load(self._file)
                        log.info("%d keys were read", len(self._kept))
                except (OSError, KeysError) as error:
                    log.error("the keys were not read again: %s", error)  # noqa: TRY400
            return self._kept

    def _load(self, file: Path) -> Mapping[str, Holder]:
        try:
            state = self._stamp(file)
            kept = _read(file.read_text(encoding="utf-8").splitlines(), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise KeysError(f"{file}: cannot be read ({error})") from error
        self._state = state
        return kept

    @staticmethod
    def _stamp(file: Path) -> tuple[int, int, int]:
        found = file.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def _read(lines: Iterable[str], where: str) -> Mapping[str, Holder]:
    found: dict[str, Holder] = {}
    wrong = []
    for number, text in enumerate(lines, start=1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(text.strip())
        if match:
            found[match["hash"]] = Holder(match["name"], "admin" if match["role"] == "admin" else "client")
        else:
            wrong.append(f"{where}:{number}: «name role sha256» is expected, with role client or admin")
    if wrong:
        raise KeysError("\n".join(wrong))
    return found
