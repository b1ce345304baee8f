"""OpenVINO without its telemetry, which would tell Google Analytics of every import: what reads customers' words calls nobody."""

from __future__ import annotations

import sys
from typing import Any

# A name that is None here raises ImportError where it is imported; OpenVINO then goes on with a stub of its own.
_modules: dict[str, Any] = sys.modules
_modules.setdefault("openvino_telemetry", None)

import openvino as ov  # noqa: E402
from openvino import opset13 as operations  # noqa: E402

__all__ = ["operations", "ov"]
