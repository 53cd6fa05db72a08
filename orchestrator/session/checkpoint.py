"""Checkpoints: a session's state after one frame, sealed against changes."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from motion.frame import EncodedPicture, FrameSize, PictureEncoding
from motion.wardrobe.choose import Choice
from orchestrator.pipeline.in_flight_frame import NOTHING_RECALLED, InFlightFrame, Recalled
from orchestrator.session_config import SessionConfig
from provenance.watermark.code import Payload
from serving.errors import BadInput
from serving.key_files import LEAST_KEY_BYTES, read_keys
from serving.pictures.codec import decode_picture, encode_picture

_FORMAT: Final = b"dance-checkpoint-2\n"
_LENGTHS: Final = struct.Struct("<III")  # of the JSON, of pose's and of normalize's state; the rest is the picture
_SEAL_BYTES: Final = 32
FIELD: Final = "config.checkpoint"


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything that later answers depend on, besides the config and the frames themselves.

    actor_version: the version in use. sequence, time_s: of the last answered frame. size: of the source's frames; None
    until one frame was valid. pose_state: empty if the session resumes with another pose backend. limbs: the last
    choice of the actor's limbs; None for actors without a wardrobe. mark: what the watermark of the session's pictures
    says; None without one.
    """

    actor_version: int
    sequence: int
    time_s: float
    size: FrameSize | None
    pose_state: bytes
    normalize_state: bytes
    recalled: Recalled
    limbs: Choice | None = None
    mark: Payload | None = None

    @classmethod
    def after(cls, frame: InFlightFrame, actor_version: int, mark: Payload | None = None) -> SessionState:
        """Return the state once `frame` has been answered."""
        return cls(
            actor_version,
            frame.sequence,
            frame.time_s,
            frame.size,
            frame.pose_state,
            frame.normalize_state,
            frame.recalled,
            frame.limbs,
            mark,
        )


class CheckpointSealer:
    """Seals checkpoints, and opens those sealed with the same key for the same client.

    A client can read its checkpoint but cannot change or forge one: it ends with an HMAC-SHA256 over the client's name
    and all preceding bytes.

    keys: the first key seals and every key opens, so keys can be rotated while sessions run.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def from_file(cls, path: Path | None, *, setting: str) -> CheckpointSealer:
        """Read the keys from a file with one hexadecimal key per line. None: a random key, valid in this process only.

        Raises BadSettings, which never quotes a key.
        """
        if path is None:
            return cls([secrets.token_bytes(LEAST_KEY_BYTES)])
        return cls(read_keys(path, setting=setting))

    def seal(self, state: SessionState, config: SessionConfig, client: str) -> bytes:
        """Return the checkpoint of a session of `client`."""
        picture = state.recalled.picture
        facts = {
            "config": _binding(config),
            "actor_version": state.actor_version,
            "sequence": state.sequence,
            "time_s": state.time_s,
            "size": state.size and [state.size.width_px, state.size.height_px],
            "pose_backend": config.pose.backend.value,
            "limbs": None if state.limbs is None else state.limbs.to_bytes().hex(),
            "drawn_at_s": state.recalled.drawn_at_s,
            "mark": None if state.mark is None else state.mark.number,
            "picture": None if picture is None else [picture.shape[1], picture.shape[0]],
        }
        text = json.dumps(facts, separators=(",", ":")).encode()
        drawn = b"" if picture is None else encode_picture(picture, PictureEncoding.PNG).data
        lengths = _LENGTHS.pack(len(text), len(state.pose_state), len(state.normalize_state))
        body = b"".join([_FORMAT, lengths, text, state.pose_state, state.normalize_state, drawn])
        return body + _seal(self._keys[0], client, body)

    def open(self, data: bytes, config: SessionConfig, client: str) -> SessionState:
        """Return the state given to `seal`. Raises BadInput unless it was sealed for `client` and a matching config."""
        body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        if not any(hmac.compare_digest(seal, _seal(key, client, body)) for key in self._keys):
            raise BadInput(FIELD, "was not made by this service for this client, or is damaged")
        if not body.startswith(_FORMAT):
            raise BadInput(FIELD, "was made by another version of this service")
        # The seal is valid, so the remaining bytes can be trusted.
        rest = body[len(_FORMAT) + _LENGTHS.size :]
        text, pose_state, normalize_state, drawn = _parts(rest, _LENGTHS.unpack_from(body, len(_FORMAT)))
        facts: dict[str, Any] = json.loads(text)
        for name, value in _binding(config).items():
            if facts["config"][name] != value:
                raise BadInput(FIELD, f"was made with {name} {facts['config'][name]!r}, this session has {value!r}")
        if config.actor_version not in (0, facts["actor_version"]):
            made_with = f"was made with actor version {facts['actor_version']}"
            raise BadInput(FIELD, f"{made_with}, this session has {config.actor_version}")
        recalled = NOTHING_RECALLED
        if facts["picture"] is not None:
            width_px, height_px = facts["picture"]
            encoded = EncodedPicture(PictureEncoding.PNG, width_px, height_px, drawn)
            recalled = Recalled(decode_picture(encoded, field=FIELD), facts["drawn_at_s"])
        return SessionState(
            actor_version=facts["actor_version"],
            sequence=facts["sequence"],
            time_s=facts["time_s"],
            size=facts["size"] and FrameSize(*facts["size"]),
            pose_state=pose_state if facts["pose_backend"] == config.pose.backend.value else b"",
            normalize_state=normalize_state,
            recalled=recalled,
            limbs=None if facts["limbs"] is None else _limbs(facts["limbs"]),
            # Servers of release 0.2.0 and before wrote none.
            mark=None if facts.get("mark") is None else Payload.from_number(facts["mark"]),
        )


def _parts(data: bytes, lengths: Iterable[int]) -> list[bytes]:
    """Cut `data` into parts of these lengths, and the rest."""
    parts, begin = [], 0
    for length in lengths:
        parts.append(data[begin : begin + length])
        begin += length
    return [*parts, data[begin:]]


def _limbs(stored: str) -> Choice:
    try:
        return Choice.from_bytes(bytes.fromhex(stored))
    except ValueError as error:  # a release with other limbs wrote it
        raise BadInput(FIELD, f"was made by another version of this service: {error}") from error


def _seal(key: bytes, client: str, body: bytes) -> bytes:
    name = client.encode()
    return hmac.new(key, struct.pack("<I", len(name)) + name + body, hashlib.sha256).digest()


def _binding(config: SessionConfig) -> dict[str, Any]:
    """Return the fields in which a resumed session must match the original one."""
    return {
        "actor": config.actor,
        "source_body": None if config.source_body is None else asdict(config.source_body),
        "look_ahead_frames": config.look_ahead_frames,
        "frame_rate_hz": config.frame_rate_hz,
    }
