"""MediaPipe's networks: where their files are, and what they must be.

They come with the wheel of `mediapipe` (Apache-2.0). Only the files are used: neither its Python code nor its C++ code
is loaded, so an image needs no more of the wheel than these files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from serving.errors import BadSettings

WHEEL: Final = "mediapipe 0.10.21"
_INSTALL: Final = f"pip install --no-deps {WHEEL.replace(' ', '==')}"
_INSTALL_AGAIN: Final = _INSTALL.replace("--no-deps", "--no-deps --force-reinstall")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One network's file. path: below the folder of the models. size_bytes: of the tested release."""

    path: str
    size_bytes: int


POSE_DETECTION: Final = ModelFile("pose_detection/pose_detection.tflite", 2_959_046)
POSE_LANDMARK: Final = ModelFile("pose_landmark/pose_landmark_full.tflite", 6_440_512)
HAND_RECROP: Final = ModelFile("holistic_landmark/hand_recrop.tflite", 123_792)
HAND_LANDMARK: Final = ModelFile("hand_landmark/hand_landmark_full.tflite", 5_478_917)
FACE_DETECTION: Final = ModelFile("face_detection/face_detection_short_range.tflite", 229_714)
FACE_LANDMARK: Final = ModelFile("face_landmark/face_landmark.tflite", 1_242_398)
ALL_FILES: Final = (POSE_DETECTION, POSE_LANDMARK, HAND_RECROP, HAND_LANDMARK, FACE_DETECTION, FACE_LANDMARK)

REFINED_FACE_LANDMARK: Final = ModelFile("face_landmark/face_landmark_with_attention.tflite", 2_495_106)
HANDEDNESS: Final = ModelFile("hand_landmark/handedness.txt", 11)
BROWSER_FILES: Final = (
    POSE_DETECTION, POSE_LANDMARK, HAND_RECROP, HAND_LANDMARK, HANDEDNESS, FACE_DETECTION, REFINED_FACE_LANDMARK,
)  # fmt: skip
"""What the page's pose finder reads: the same networks, but the face's refined mesh, which has pupils."""


def models_folder(folder: Path | None = None, files: Sequence[ModelFile] = ALL_FILES) -> Path:
    """Return the folder that holds `files` of MediaPipe's networks: `folder`, or the wheel's.

    Raises BadSettings, which names the first file that is missing or has another size than in the tested release, and
    the command that installs it.
    """
    if folder is None:
        spec = find_spec("mediapipe")  # finds the package without loading it, which takes seconds
        if spec is None or not spec.submodule_search_locations:
            raise BadSettings("mediapipe", f"its network files are not installed; install them with: {_INSTALL}")
        folder = Path(spec.submodule_search_locations[0]) / "modules"
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise BadSettings("mediapipe", f"its network file {path} is missing; install it with: {_INSTALL_AGAIN}")
        if path.stat().st_size != file.size_bytes:
            sizes = f"has {path.stat().st_size} bytes, not the {file.size_bytes} of {WHEEL}"
            raise BadSettings("mediapipe", f"its network file {path} {sizes}; install it with: {_INSTALL_AGAIN}")
    return folder
