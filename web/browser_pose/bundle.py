"""The files with which a browser finds poses: MediaPipe's program, and its networks from the installed wheel.

Every file's address contains its hash, so a browser may keep it for good, and never mixes files of two releases.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from services.pose.mediapipe.model_files import BROWSER_FILES, POSE_LANDMARK, models_folder
from serving.errors import BadSettings

PACKAGE: Final = "@mediapipe/holistic"
VERSION: Final = "0.5.1675471629"
FOLDER: Final = Path(__file__).parent.parent / "page" / "pose" / "holistic"
PROGRAM: Final = {
    "holistic.js": "72597af8603eef62a1a4f375b6edd99eab050d8ff42ee9b9eb4b41d936a3d23c",
    "holistic.binarypb": "734d540f71eba9cb9cc6989a61219c2449cd3af0c2c857956db94281a5dcfe08",
    "geometry_pipeline_metadata_landmarks.binarypb": "bdbcda96dfcb7da883da124aaa2c55dee49770d934f0fcc71747f8c21bdc75b4",
    "holistic_solution_simd_wasm_bin.js": "5592f62878a0d4b65712d1630e605fb4f4affa58b324527a00b089aba17ea74d",
    "holistic_solution_simd_wasm_bin.wasm": "8c38692bf8150f7e6c109214454b14c4edcb3601086b9ee05c72e75f31c9c358",
}
"""The package's files and their SHA-256."""

_NETWORKS_INSIDE: Final = "/third_party/mediapipe/modules"
"""Where the program looks for its networks, in the file system that it has in memory."""
_GEOMETRY: Final = "geometry_pipeline_metadata_landmarks.binarypb"
"""A face's geometry. The page does not use it, but the program does not start without it."""
_FETCHED_BY_NAME: Final = {POSE_LANDMARK.path}
"""Networks that the program fetches by itself, since a page can choose among three sizes of them."""
_MEDIA_TYPES: Final = {".js": "text/javascript", ".wasm": "application/wasm", ".txt": "text/plain"}
_DIGITS: Final = 16


@dataclass(frozen=True)
class BundleFile:
    """One file of the bundle.

    digest: its SHA-256. path_inside: where the program expects a network; "" for a file that it
    fetches by its name.
    """

    path: Path
    digest: str
    size_bytes: int
    path_inside: str = ""

    @property
    def name(self) -> str:
        """The file's name, unique in the bundle."""
        return self.path.name

    @property
    def version(self) -> str:
        """The first digits of its hash."""
        return self.digest[:_DIGITS]

    @property
    def url(self) -> str:
        """The file's address, relative to the page."""
        return f"pose/files/{self.version}/{self.name}"

    @property
    def media_type(self) -> str:
        """For `Content-Type`."""
        return _MEDIA_TYPES.get(self.path.suffix, "application/octet-stream")

    @property
    def shrinks(self) -> bool:
        """Whether it is worth compressing: networks shrink by a few percent only."""
        return self.path.suffix in (".js", ".wasm")

    @cached_property
    def compressed(self) -> bytes:
        """The file in gzip. The first call takes up to half a second; 2 MB stay in memory."""
        return gzip.compress(self.path.read_bytes(), 6, mtime=0)


class PoseBundle:
    """All files of the bundle, by name. Making it reads and hashes 24 MB.

    networks_folder: of MediaPipe's networks; None for the installed wheel's. Raises BadSettings, which names the file,
    if a file is missing or another than it should be.
    """

    def __init__(self, networks_folder: Path | None = None) -> None:
        folder = models_folder(networks_folder, BROWSER_FILES)
        files = [_program_file(name, digest) for name, digest in PROGRAM.items()]
        for file in BROWSER_FILES:
            inside = "" if file.path in _FETCHED_BY_NAME else f"{_NETWORKS_INSIDE}/{file.path}"
            files.append(_bundle_file(folder / file.path, inside))
        self.files: Mapping[str, BundleFile] = {file.name: file for file in files}

    def description(self) -> dict[str, object]:
        """Return what the page needs to load the bundle, for JSON."""
        return {
            "package": PACKAGE,
            "version": VERSION,
            "files": [
                {"name": file.name, "url": file.url, "size_bytes": file.size_bytes, "path_inside": file.path_inside}
                for file in self.files.values()
            ],
        }


def _program_file(name: str, digest: str) -> BundleFile:
    path = FOLDER / name
    if not path.is_file():
        raise BadSettings("web", f"{path} of {PACKAGE} {VERSION} is missing; check out web/page/pose/holistic again")
    inside = f"{_NETWORKS_INSIDE}/face_geometry/data/{name}" if name == _GEOMETRY else ""
    file = _bundle_file(path, inside)
    if file.digest != digest:
        raise BadSettings("web", f"{path} is not that of {PACKAGE} {VERSION}; check out web/page/pose/holistic again")
    return file


def _bundle_file(path: Path, path_inside: str) -> BundleFile:
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return BundleFile(path, digest, path.stat().st_size, path_inside)
