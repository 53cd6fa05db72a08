"""The pose finder's files: the vendored program and the wheel's networks, which belong together."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from starlette.applications import Starlette

from motion import skeleton
from services.pose.estimator import PoseRules
from services.pose.mediapipe.model_files import WHEEL
from serving.errors import BadSettings
from tests.unit.web.asgi import get
from web.access.refusals import Refused
from web.browser_pose import bundle as bundle_module
from web.browser_pose.bundle import FOLDER, PACKAGE, PROGRAM, VERSION, PoseBundle
from web.browser_pose.routes import routes


@pytest.fixture(scope="module")
def bundle() -> PoseBundle:
    return PoseBundle()


@pytest.fixture
def application(bundle: PoseBundle) -> Starlette:
    return Starlette(routes=routes(bundle))


def test_the_program_is_the_published_one(root: Path) -> None:
    """Every vendored file has the size and the hash that its README names, and nothing else lies there."""
    readme = (FOLDER / "README.md").read_text()
    assert f"`{PACKAGE}`, version {VERSION}" in readme
    rows = re.findall(r"^\| `([\w.]+)` \| (\d+) \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE)
    for name, size, digest in rows:
        data = (FOLDER / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (int(size), digest), name
    assert {name: digest for name, _, digest in rows} == PROGRAM
    assert {path.name for path in FOLDER.iterdir()} == {"README.md", "LICENSE", *PROGRAM}
    assert (FOLDER / "LICENSE").read_text() == (root / "LICENSE").read_text()


def test_the_program_reads_the_networks_of_the_wheel(bundle: PoseBundle) -> None:
    """All paths below which the program's graphs look for a network are those of the bundle, but for unused ones.

    A new wheel or a new program has to be tried together: see tests/browser/pose.
    """
    program = (FOLDER / "holistic_solution_simd_wasm_bin.wasm").read_bytes()
    named = {path.decode() for path in re.findall(rb"mediapipe/modules/[\w/]+\.(?:tflite|txt)", program)}
    given = {file.path_inside.removeprefix("/third_party/") for file in bundle.files.values()}
    unused = {name for name in named if any(part in name for part in ("palm_detection", "_heavy", "_lite"))}
    unused |= {"mediapipe/modules/face_landmark/face_landmark.tflite"}  # the mesh without refinement
    fetched = {"mediapipe/modules/pose_landmark/pose_landmark_full.tflite"}
    assert named - unused - fetched <= given
    assert WHEEL == "mediapipe 0.10.21"


def test_a_changed_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway does not start with a file that is missing or is not the published one; the error names it."""
    shutil.copytree(FOLDER, tmp_path / "holistic")
    monkeypatch.setattr(bundle_module, "FOLDER", tmp_path / "holistic")
    (tmp_path / "holistic" / "holistic.js").write_text("")
    with pytest.raises(BadSettings, match=r"holistic\.js is not that of @mediapipe/holistic"):
        PoseBundle()
    (tmp_path / "holistic" / "holistic.js").unlink()
    with pytest.raises(BadSettings, match=r"holistic\.js of @mediapipe/holistic .* is missing"):
        PoseBundle()


async def test_files_may_be_kept_for_good(bundle: PoseBundle, application: Starlette) -> None:
    """An address with the file's hash answers its bytes, compressed where that helps, immutable."""
    for file in bundle.files.values():
        if file.size_bytes > 500_000:
            continue  # compressing the program takes half a second
        answer = await get(application, f"/{file.url}", accept_encoding="gzip, br")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith(file.media_type)
        is_compressed = answer.headers.get("content-encoding") == "gzip"
        assert is_compressed == file.name.endswith(".js")
        assert (gzip.decompress(answer.body) if is_compressed else answer.body) == file.path.read_bytes(), file.name
        plain = await get(application, f"/{file.url}", accept_encoding="identity")
        assert "content-encoding" not in plain.headers
        assert plain.body == file.path.read_bytes()


async def test_a_file_of_another_release_is_gone(bundle: PoseBundle, application: Starlette) -> None:
    """An address with another hash is refused, so a page that was open during an update never mixes releases."""
    for path in ("/pose/files/0123456789abcdef/holistic.js", f"/pose/files/{bundle.files['holistic.js'].version}/a.js"):
        with pytest.raises(Refused, match="load the page again") as refused:
            await get(application, path)
        assert (refused.value.status, refused.value.word) == (404, "pose_file_gone")


async def test_the_tables_are_those_of_the_service(bundle: PoseBundle, application: Starlette) -> None:
    """The page gets the joints' order, the landmarks of each joint, the rules and the strokes of a label map."""
    tables = json.loads((await get(application, "/api/skeleton")).body)
    assert tables["joint_count"] == skeleton.JOINT_COUNT
    assert tables["parts"] == {"body": [0, 25], "face": [25, 95], "left_hand": [95, 116], "right_hand": [116, 137]}
    assert len(tables["landmarks"]["face"]) == skeleton.FACE_COUNT
    assert tables["rules"]["min_visibility"] == PoseRules().min_visibility
    joints = {joint for stroke in tables["strokes"]["limbs"] for joint in stroke[:2]}
    assert joints == set(range(skeleton.BODY_COUNT))
    assert sum(file["size_bytes"] for file in tables["bundle"]["files"]) == sum(
        file.size_bytes for file in bundle.files.values()
    )
