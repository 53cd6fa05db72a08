"""What a visitor is told about a file, and that the gateway keeps none."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from prometheus_client import REGISTRY

from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.media_types import sidecar_of
from provenance.verification import Verification
from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from serving.actors.store import ActorStore
from serving.errors import BadSettings
from tests.pipeline.chain import Stack
from tests.signed_files import changed, scene, sign, signer, write_video
from tests.unit.web.verifying.conftest import KEY_IDS, Build, Gateway

_NOWHERE = "127.0.0.1:1"


def signed(gateway: Gateway, folder: Path, name: str = "o.mp4", key_id: int | None = None) -> Path:
    """A video of Anna, signed as a client does. key_id: of the server whose watermark is in it; None for none."""
    pictures = [scene(index) for index in range(4)]
    if key_id is not None:
        pictures = [Watermark(Payload(key_id, 7)).marked(picture) for picture in pictures]
    path, anna = write_video(folder / name, pictures), gateway.anna
    facts = SyntheticMedia(actor="anna", actor_version=anna.version, consent_sha256=anna.consent.sha256())
    sign(path, folder, facts)
    return path


async def told(gateway: Gateway, data: bytes, query: str = "") -> Any:
    """What the visitor is told."""
    answered = await (await gateway.browser()).ask("POST", f"/api/verify{query}", data)
    assert answered.status == 200, answered.body
    assert not gateway.kept
    return answered.json


async def refused(gateway: Gateway, data: bytes, query: str = "") -> tuple[int, str]:
    """With which status and word a file is refused."""
    answered = await (await gateway.browser()).ask("POST", f"/api/verify{query}", data)
    assert not gateway.kept
    return answered.refusal


@pytest.mark.parametrize(
    ("key_id", "server"), [(KEY_IDS[0], "this"), (KEY_IDS[1], "this"), (0x0BAD, "another"), (0, "unknown")]
)
async def test_a_marked_video_is_told_with_its_consent_and_its_server(
    gateway: Gateway, tmp_path: Path, key_id: int, server: str
) -> None:
    """The credentials are valid, the consent holds, and the watermark names this server by a present or former key."""
    verified = REGISTRY.get_sample_value("dance_web_verifications_total", {"mark": "marked"}) or 0
    said = await told(gateway, signed(gateway, tmp_path, key_id=key_id).read_bytes())
    assert (said["mark"], said["server"], said["server_asked"]) == ("marked", server, True)
    assert said["watermark"]["server_key"] == f"{key_id:04x}"
    assert (said["credentials"]["state"], said["credentials"]["self_made"]) == ("valid", True)
    consent = said["consent"]
    assert (consent["allowed"], consent["actor"], consent["uses"], consent["same_record"]) == (
        "yes",
        "anna",
        ["public"],
        True,
    )
    assert REGISTRY.get_sample_value("dance_web_verifications_total", {"mark": "marked"}) == verified + 1


async def test_one_changed_byte_is_told(gateway: Gateway, tmp_path: Path) -> None:
    """What the credentials state is not believed any more, so no consent is looked up."""
    said = await told(gateway, changed(signed(gateway, tmp_path)).read_bytes())
    assert (said["mark"], said["credentials"]["state"], said["consent"]["actor"]) == ("changed", "changed", "")
    assert said["server_asked"] is None


async def test_a_revoked_consent_is_told(gateway: Gateway, stack: Stack, tmp_path: Path) -> None:
    """The file is still marked, but the person no longer agrees."""
    data = signed(gateway, tmp_path).read_bytes()
    ActorStore(stack.actors_root).revoke("anna", reason="asked")
    consent = (await told(gateway, data))["consent"]
    assert consent["allowed"] == "no"
    assert "revoked" in consent["ended_because"]


async def test_a_sidecar_comes_first_in_the_body(gateway: Gateway, tmp_path: Path) -> None:
    """The credentials of a WebM are beside it; without them, nothing is known of it."""
    path = signed(gateway, tmp_path, "o.webm")
    sidecar, video = sidecar_of(path).read_bytes(), path.read_bytes()
    said = await told(gateway, sidecar + video, f"?sidecar={len(sidecar)}")
    assert (said["mark"], said["credentials"]["in_sidecar"]) == ("marked", True)
    assert (await told(gateway, video))["mark"] == "unmarked"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
async def test_pictures_are_told_by_their_content(gateway: Gateway, suffix: str) -> None:
    """Files without credentials are called unmarked, and the orchestrator is not asked."""
    data = cv2.imencode(suffix, scene())[1].tobytes()
    said = await told(gateway, data)
    assert (said["mark"], said["credentials"], said["watermark"], said["server"]) == ("unmarked", None, None, None)
    assert (said["searched_pictures"], said["server_asked"]) == (1, None)


async def test_without_the_orchestrator_the_rest_is_told(build: Build, tmp_path: Path) -> None:
    """Consent and server are unknown then, and the answer says why."""
    async with build.gateway(_NOWHERE) as gateway:
        said = await told(gateway, signed(gateway, tmp_path, key_id=KEY_IDS[0]).read_bytes())
    assert (said["mark"], said["server"], said["server_asked"]) == ("marked", "unknown", False)
    assert said["consent"]["words"] == "not checked: the server could not be asked"


async def test_what_cannot_be_checked_is_refused(build: Build) -> None:
    """Other files, files that only begin like a video or a picture, and files above the limits."""
    png = cv2.imencode(".png", np.zeros((8, 300, 3), np.uint8))[1].tobytes()
    webp = cv2.imencode(".webp", np.zeros((8, 300, 3), np.uint8))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    async with build.gateway(_NOWHERE, max_verify_bytes=2**16, max_clip_side_px=256) as gateway:
        assert await refused(gateway, b"%PDF-1.7 no picture") == (415, "not_checkable")
        assert await refused(gateway, b"\x1a\x45\xdf\xa3" + bytes(64)) == (415, "unreadable_file")
        assert await refused(gateway, png[:-40]) == (415, "unreadable_file")
        assert await refused(gateway, jpeg + b"\xff\xda" * 64) == (415, "unreadable_file")
        assert await refused(gateway, png) == (413, "pictures_too_large")
        assert await refused(gateway, webp) == (413, "pictures_too_large")
        assert await refused(gateway, png + bytes(2**16)) == (413, "file_too_large")
        assert await refused(gateway, png, "?sidecar=17000000") == (413, "file_too_large")
        assert await refused(gateway, png, f"?sidecar={len(png)}") == (400, "bad_request")
        assert await refused(gateway, png, "?sidecar=-1") == (400, "bad_request")
        assert await refused(gateway, b"") == (400, "bad_request")
        announced = {"content-length": str(2**30)}
        answered = await (await gateway.browser()).ask("POST", "/api/verify", png, announced)
        assert answered.refusal == (413, "file_too_large")


async def test_a_full_disk_and_a_stranger_are_refused(build: Build) -> None:
    """Before anything is read."""
    async with build.gateway(_NOWHERE, disk_kept_bytes=2**60) as gateway:
        assert await refused(gateway, b"RIFF") == (507, "no_room")
        browser = await gateway.browser()
        browser.cookie = ""
        assert (await browser.ask("POST", "/api/verify", b"RIFF")).refusal == (401, "no_visit")


class HeldChecks:
    """Checks that go on until they are told to stop or released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Queue[None]()
        self.release = threading.Event()
        monkeypatch.setattr("web.verifying.verifier.verify", self._check)

    def _check(self, path: Path, *, trust_anchors_pem: str, should_stop: Callable[[], bool]) -> Verification:
        assert path.is_file()
        self._loop.call_soon_threadsafe(self.begun.put_nowait, None)
        while not self.release.wait(0.01):
            if should_stop():
                raise KeyboardInterrupt
        return Verification(None, None, 1)


async def test_too_many_at_once_are_refused(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the places are for one user; the others are refused while all are taken."""
    png = cv2.imencode(".png", scene())[1].tobytes()
    async with build.gateway(_NOWHERE, max_verifications=2) as gateway:
        checks = HeldChecks(monkeypatch)
        anna, ben, cara = [await gateway.browser(f"10.0.0.{index}") for index in range(3)]
        checking = []
        for browser in (anna, ben):
            checking.append(asyncio.create_task(browser.ask("POST", "/api/verify", png)))
            await checks.begun.get()
        assert (await anna.ask("POST", "/api/verify", png)).refusal == (429, "too_many_yours")
        assert (await cara.ask("POST", "/api/verify", png)).refusal == (503, "full")
        checks.release.set()
        assert [(await check).status for check in checking] == [200, 200]
        assert (await cara.ask("POST", "/api/verify", png)).status == 200
        assert not gateway.kept


async def test_a_check_ends_when_its_visitor_leaves(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is deleted, and the place is free again."""
    png = cv2.imencode(".png", scene())[1].tobytes()
    async with build.gateway(_NOWHERE, max_verifications=1) as gateway:
        checks, browser = HeldChecks(monkeypatch), await gateway.browser()
        checking = asyncio.create_task(browser.ask("POST", "/api/verify", png))
        await checks.begun.get()
        browser.left.set()
        assert (await checking).refusal == (400, "connection_lost")
        assert not gateway.kept
        checks.release.set()
        assert (await (await gateway.browser()).ask("POST", "/api/verify", png)).status == 200


async def test_a_check_that_takes_too_long_is_ended(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and its file is deleted."""
    async with build.gateway(_NOWHERE, max_verify_seconds=0.05) as gateway:
        HeldChecks(monkeypatch)
        assert await refused(gateway, cv2.imencode(".png", scene())[1].tobytes()) == (422, "check_too_long")


async def test_an_answer_names_no_path_of_the_server(build: Build, tmp_path: Path) -> None:
    """Not even where C2PA's library complains about a file."""
    async with build.gateway(_NOWHERE) as gateway:
        jpeg = cv2.imencode(".jpg", scene())[1].tobytes()
        broken = jpeg[:2] + b"\xff\xeb\x00\x20JP\x00\x01\x00\x00\x00\x01" + b"jumb" * 5 + jpeg[2:]
        answered = await (await gateway.browser()).ask("POST", "/api/verify", broken)
        assert str(tmp_path) not in answered.body.decode()
        wrong = await (await gateway.browser()).ask("POST", "/api/verify", b"\x1a\x45\xdf\xa3" + bytes(64))
        assert re.search("this file", wrong.json["error"]["text"])
        assert str(tmp_path) not in wrong.body.decode()


async def test_what_a_killed_gateway_left_is_deleted(build: Build) -> None:
    """At the next start, before anything else."""
    left = build.folder / "verifying" / "file-x1" / "file.mp4"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    async with build.gateway(_NOWHERE) as gateway:
        assert not gateway.kept


async def test_a_trusted_authority_vouches_for_the_signer(build: Build, tmp_path: Path) -> None:
    """A file that holds no certificates is an error at the start."""
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(BadSettings, match="expected PEM certificates"):
        async with build.gateway(_NOWHERE, verify_trust=tmp_path / "none.pem"):
            pass
    with pytest.raises(BadSettings, match="cannot be read"):
        async with build.gateway(_NOWHERE, verify_trust=tmp_path / "missing.pem"):
            pass
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(signer(tmp_path).identity.chain_pem)
    async with build.gateway(_NOWHERE, verify_trust=anchors) as gateway:
        said = await told(gateway, signed(gateway, tmp_path).read_bytes())
    assert said["credentials"]["state"] == "trusted"
