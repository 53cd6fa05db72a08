"""What a page and the gateway say to each other on the WebSocket of a live session.

The page begins with one text message, a JSON object:

    {"ticket": "…", "actor": "sample", "version": 0, "sends": "poses" | "pictures", "size_px": 256 | null,
     "background": null | {"colour": [0, 177, 64]} | {"picture": true}}

If the background is a picture, the next message is its bytes, a JPEG or a PNG. Then come binary messages, one for each
frame that the page sends: a head of 24 bytes, little-endian, and a body.

    uint8 kind (1 a pose, 2 a JPEG, 3 a frame without a person), uint8 0, uint16 width_px, uint16 height_px, uint16 0,
    uint32 sequence (counts the camera's frames, also those that are not sent), uint32 0, float64 captured (seconds)

A pose is 137 times x px, y px, confidence as float32 (`motion.skeleton`). `web.live.session` explains the page's other
text messages.

The gateway answers `{"accepted": {…}}`, then every frame once, in order, as one binary message: a uint32 with the
length of a JSON head, the head, the picture (`head.picture` bytes) and the source's pose (`head.pose` bytes, as above).
Its other text messages are `{"reconnecting": "why"}`, `{"connected": true}`, `{"refused": {"code", "text"}}` and
`{"ended": "finished" | "draining"}`.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from client.connection.types import Accepted, Answer, PosedFrame, SentFrame, TransferOptions
from motion import skeleton
from motion.documents import parsed
from motion.frame import EncodedPicture, Frame, FrameSize, PictureEncoding
from motion.pose import MAX_POSITION_PX, Pose
from motion.pose_choice import PoseDetail
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadInput
from serving.pictures.background import Background
from serving.pictures.codec import encoding_of, size_of
from web.access.refusals import Refused

_HEAD: Final = struct.Struct("<BBHHHIId")
_POSE, _JPEG, _EMPTY = 1, 2, 3
POSE_BYTES: Final = skeleton.JOINT_COUNT * 3 * 4
_LENGTH: Final = struct.Struct("<I")
_MOST_CONFIG_CHARACTERS: Final = 4096
_JPEG_QUALITY: Final = 90


@dataclass(frozen=True, slots=True)
class Opening:
    """The first message of a page.

    sends_poses: whether the page estimates the poses itself. size_px: the height at which the actor is drawn; None lets
    the server choose. brings_background: whether the next message is the background's picture.
    """

    ticket: object
    actor: str
    version: int
    sends_poses: bool
    size_px: int | None
    colour: tuple[int, int, int] | None
    brings_background: bool

    def options(self, size: FrameSize | None, background: Background) -> TransferOptions:
        """Return the config of the session. size: of the pictures; None lets the server choose."""
        return TransferOptions(
            actor=self.actor,
            actor_version=self.version,
            live=True,
            jpeg_quality=_JPEG_QUALITY,
            # A page always finds the whole pose, so only sizes are left for the server to choose.
            detail=PoseDetail.HOLISTIC if self.sends_poses else None,
            picture_size=size,
            adaptive=True,
            source_poses=not self.sends_poses,
            checkpoint_every_frames=25,
            background=background,
        )


def said_in(text: str) -> Any:
    """Return the value of a page's text message. Raises ValueError if it is too long or not JSON."""
    if len(text) > _MOST_CONFIG_CHARACTERS:
        raise ValueError(f"it has more than {_MOST_CONFIG_CHARACTERS} characters")
    return parsed(text)


def opening(text: str) -> Opening:
    """Parse the first message. Raises Refused 400, naming what is wrong."""
    try:
        said = said_in(text)
        if not isinstance(said, dict):
            raise ValueError("it is not an object")
        sends = said.get("sends")
        if sends not in ("poses", "pictures"):
            raise ValueError(f'sends must be "poses" or "pictures", got {sends!r}')
        background = said.get("background") or {}
        colour = background.get("colour")
        return Opening(
            ticket=said.get("ticket"),
            actor=checked_actor_id(str(said.get("actor", "")), field="actor"),
            version=_whole(said.get("version", 0), "version"),
            sends_poses=sends == "poses",
            size_px=None if said.get("size_px") is None else _whole(said["size_px"], "size_px"),
            colour=None if colour is None else _colour(colour),
            brings_background=bool(background.get("picture")),
        )
    except (ValueError, AttributeError, BadInput) as error:
        raise Refused(400, "bad_message", f"The first message cannot be used: {error}.") from error


def recording_wish(text: str) -> str | None:
    """Parse `{"record": ID}`; None for `{"record": null}`. Raises Refused 400 for any other text."""
    try:
        said = said_in(text)
        wanted = said["record"]
        if len(said) == 1 and (wanted is None or isinstance(wanted, str)):
            return wanted
    except (ValueError, KeyError, TypeError):
        pass
    raise Refused(400, "bad_message", f"The message {text[:80]!r} is not known here.")


def frame_from(message: bytes) -> SentFrame:
    """Parse a frame. Raises Refused 400, naming what is wrong."""
    if len(message) < _HEAD.size:
        raise _bad(f"it has {len(message)} bytes, and a head takes {_HEAD.size}")
    kind, _, width_px, height_px, _, sequence, _, captured_at_s = _HEAD.unpack_from(message)
    if not width_px or not height_px:
        raise _bad(f"its size is {width_px}x{height_px}")
    if not 0 <= captured_at_s < 2**40:  # also refuses NaN
        raise _bad(f"captured must be a time in seconds, got {captured_at_s}")
    body = message[_HEAD.size :]
    if kind == _JPEG:
        if not body:
            raise _bad("its picture is empty")
        return Frame(sequence, EncodedPicture(PictureEncoding.JPEG, width_px, height_px, body), captured_at_s)
    if kind not in (_POSE, _EMPTY):
        raise _bad(f"its kind must be 1, 2 or 3, got {kind}")
    pose = _pose(body) if kind == _POSE else None
    return PosedFrame(sequence, pose, FrameSize(width_px, height_px), captured_at_s)


def background_picture(data: bytes) -> EncodedPicture:
    """Return a background's JPEG or PNG; the orchestrator decodes it, within its limits. Raises Refused 400."""
    encoding = encoding_of(data)
    size = None if encoding is None else size_of(data, encoding)
    if encoding is None or size is None:
        raise Refused(400, "bad_background", "The background must be a picture, a JPEG or a PNG.")
    return EncodedPicture(encoding, *size, data)


def accepted_message(accepted: Accepted) -> str:
    """Return what a page must know about its session."""
    said = {
        "version": accepted.actor_version,
        "in_flight": accepted.max_frames_in_flight,
        "width": accepted.picture_size.width_px,
        "height": accepted.picture_size.height_px,
        "max_side": accepted.max_frame_side_px,
        "precision": accepted.generator_precision,
        "server": accepted.server_version,
        "rungs": [[rung.picture_size.width_px, rung.picture_size.height_px] for rung in accepted.rungs],
    }
    return json.dumps({"accepted": said})


def answer_message(answer: Answer, gateway_ms: float) -> bytes:
    """Return the answer to one frame. gateway_ms: from the frame's arrival here until now."""
    picture = b"" if answer.picture is None else answer.picture.data
    pose = b"" if answer.source_pose is None else pose_bytes(answer.source_pose)
    return with_head(
        {
            "seq": answer.sequence,
            "no": None if answer.no_picture is None else answer.no_picture.value,
            "detail": answer.detail,
            "remarks": answer.remarks,
            "rung": answer.rung,
            "server_ms": round(answer.frame_seconds * 1e3, 2),
            "gateway_ms": round(gateway_ms, 2),
            "stages": [
                [time.stage, _ms(time.compute_seconds), _ms(time.queue_seconds), _ms(time.total_seconds)]
                for time in answer.stage_times
            ],
        },
        picture=picture,
        pose=pose,
    )


def with_head(head: dict[str, Any], **parts: bytes) -> bytes:
    """Return a binary message: the head's length, the head with the length of each part, and the parts in order."""
    text = json.dumps({**head, **{name: len(part) for name, part in parts.items()}}, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *parts.values()))


def pose_bytes(pose: Pose) -> bytes:
    """Return a pose as 137 times x px, y px, confidence, float32, little-endian."""
    return bytes(np.concatenate((pose.joints_px, pose.confidence[:, None]), axis=1).astype("<f4").tobytes())


def _pose(body: bytes) -> Pose:
    if len(body) != POSE_BYTES:
        raise _bad(f"a pose has {POSE_BYTES} bytes, got {len(body)}")
    table = np.frombuffer(body, "<f4").reshape(skeleton.JOINT_COUNT, 3)
    try:
        pose = Pose(table[:, :2], table[:, 2])
    except ValueError as error:
        raise _bad(str(error)) from error
    if np.abs(pose.joints_px).max() > MAX_POSITION_PX:
        raise _bad(f"a joint is more than {MAX_POSITION_PX:,.0f} px from the frame's corner")
    return pose


def _bad(what: str) -> Refused:
    return Refused(400, "bad_frame", f"A frame cannot be used: {what}.")


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    return value


def _colour(value: Any) -> tuple[int, int, int]:
    if not (isinstance(value, list) and len(value) == 3):
        raise ValueError(f"a colour has three numbers of 0 to 255, got {value!r}")
    red, green, blue = (_whole(part, "colour") for part in value)
    if max(red, green, blue) > 255:
        raise ValueError(f"a colour has three numbers of 0 to 255, got {value!r}")
    return red, green, blue
