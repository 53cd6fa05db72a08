"""Libraries that send telemetry, imported with it switched off. docs/security.md lists the findings.

All other code imports them through this module, which a test enforces. Both libraries would also store an id of this
machine in the user's home.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType


def openvino() -> ModuleType:
    """Import the package `openvino`, an extra. Raises ModuleNotFoundError without it.

    It has no setting that disables telemetry for one process. Its only switch is a file in the user's home, written by
    a program that reports the opt-out itself. If its telemetry package cannot be imported, OpenVINO falls back to a
    stub that does nothing and needs no home.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to forbid an import
    import openvino

    return openvino  # type: ignore[no-any-return]


def onnxruntime() -> ModuleType:
    """Import the package `onnxruntime`, an extra. Raises ModuleNotFoundError without it.

    `disable_telemetry_events` is not enough: its documentation says that a first event may have been sent before.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]
