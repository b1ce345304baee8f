"""The environment, read once at the edge and passed in."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from otklik.taxonomy.load import DEFAULT


class Settings(BaseSettings):
    """Every value can be set as ``OTKLIK_<NAME>``; an unknown name is no error there, a bad value is."""

    model_config = SettingsConfigDict(env_prefix="OTKLIK_", frozen=True)

    taxonomy: str = Field(default=DEFAULT, description="a released version, or the path of a taxonomy or overlay file")
    model: Path | None = Field(default=None, description="folder of a model; else the one that came with the package")
    host: str = Field(default="127.0.0.1", description="address to listen on; open it to others only behind a proxy")
    port: int = Field(default=8000, ge=0, le=65535, description="0 takes any free port")
    max_items: int = Field(default=256, ge=1, description="items in one request")
    max_characters: int = Field(default=100_000, ge=1, description="code points of one text")
    max_body_bytes: int = Field(default=10_000_000, ge=1, description="bytes of one request body")
