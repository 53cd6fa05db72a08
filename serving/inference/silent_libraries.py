"""Libraries that report their use to their makers, imported so that they do not. docs/security.md lists what was found.

Nothing of ours imports them but through here; a test of the house sees to it. Both would also leave an identity of this
machine in the user's home.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType


def openvino() -> ModuleType:
    """The package `openvino`, an extra. Raises ModuleNotFoundError without it.

    It has no setting that switches its report off for a process: the one that there is, a file in the user's home, is
    written by a program that reports this as well. Where its package for reports cannot be imported, OpenVINO takes
    a stand-in of its own that does nothing. So it needs no home either.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to forbid an import
    import openvino

    return openvino  # type: ignore[no-any-return]


def onnxruntime() -> ModuleType:
    """The package `onnxruntime`, an extra. Raises ModuleNotFoundError without it.

    `disable_telemetry_events` is not enough: it says itself that a first event may have been sent before.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]
