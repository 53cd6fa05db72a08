"""Whether MediaPipe's wheel is installed. Of all backends, only `mediapipe-solution` needs its code."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from services.pose.mediapipe.model_files import WHEEL

MISSING: Final = (
    f"the wheel of {WHEEL} is not installed; install it in a checkout with: pip install -e '.[solution]' "
    "(our images have only its networks)"
)


def is_installed() -> bool:
    """Return whether the wheel's code is here, without loading it, which takes seconds and 200 MB."""
    spec = find_spec("mediapipe")
    folders = () if spec is None else spec.submodule_search_locations or ()
    # An image has the folder too, with nothing in it but the networks.
    return any((Path(folder) / "python" / "solutions" / "holistic.py").is_file() for folder in folders)
