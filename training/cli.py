"""``otklik-train``: what ML engineers do with labelled cases."""

from __future__ import annotations

from otklik.training import making, measuring
from otklik.training.command import app

__all__ = ["app", "main", "making", "measuring"]


def main() -> None:
    """Entry point of the command."""
    app()
