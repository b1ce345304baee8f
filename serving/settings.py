"""The environment, read once at the edge and passed in."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from otklik.taxonomy.load import DEFAULT

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Settings(BaseSettings):
    """Every value can be set as ``OTKLIK_<NAME>``; an unknown name is no error there, a bad value is."""

    model_config = SettingsConfigDict(env_prefix="OTKLIK_", frozen=True)

    taxonomy: str = Field(default=DEFAULT, description="a released version, or the path of a taxonomy or overlay file")
    model: Path | None = Field(default=None, description="folder of a model; else the one that came with the package")
    host: str = Field(default="127.0.0.1", description="address to listen on; open it to others only behind a proxy")
    port: int = Field(default=8000, ge=0, le=65535, description="0 takes any free port")

    max_items: int = Field(default=256, ge=1, description="items in one request")
    max_characters: int = Field(default=100_000, ge=1, description="code points of one text")
    max_body_bytes: int = Field(default=10_000_000, ge=1, description="bytes of one request body, and of one line of a stream")
    body_seconds: float = Field(default=30, gt=0, description="for a request body, and between two pieces of a stream; then 408")

    threads: int = Field(default=0, ge=0, description="of the processor for the model; 0: all that this process may use")
    batch_tokens: int = Field(default=2048, ge=1, description="that are read together")
    queue_tokens: int = Field(default=30_000, ge=1, description="that may wait; what comes then gets 429")
    deadline_seconds: float = Field(default=20, gt=0, description="for one request; a client may ask for less with X-Deadline-Ms")
    stall_seconds: float = Field(default=60, gt=0, description="after which a batch counts as hung, and the words answer for it")
    breaker_failures: int = Field(default=3, ge=1, description="batches in a row that may fail before the model is left alone")
    breaker_seconds: float = Field(default=5, gt=0, description="until it is tried again, doubled after each trial that fails")
    drain_seconds: float = Field(default=30, gt=0, description="for what was accepted, when the service goes down")

    keys_file: Path | None = Field(default=None, description="lines of «name role sha256»; read again when it changes")
    keys: str = Field(default="", description="the same, separated by commas")
    allow_anonymous: bool = Field(default=False, description="answer without a key on an address that others can reach")
    rate_per_minute: int = Field(default=0, ge=0, description="texts a minute for one key; 0: no limit")

    @property
    def exposed(self) -> bool:
        """Whether others can reach the service and need no key."""
        return not (_is_loopback(self.host) or self.keys or self.keys_file or self.allow_anonymous)

    @property
    def cores(self) -> int:
        """Threads for the model."""
        return self.threads or usable_cores()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def usable_cores(quota: Path = _QUOTA) -> int:
    """That this process may use: by its affinity, and by the quota of its control group, as in a container."""
    cores = len(os.sched_getaffinity(0))
    try:
        most, period = quota.read_text(encoding="ascii").split()
        return cores if most == "max" else max(1, min(cores, int(most) // int(period)))
    except (OSError, ValueError):
        return cores
