"""A session's state at one frame, as bytes that only we can have made."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from motion.documents import BadDocument, read_bounded
from motion.frame import EncodedPicture, FrameSize, PictureEncoding
from orchestrator.config import SessionConfig
from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.stages.previous_picture import NOTHING_RECALLED, Recalled
from serving.errors import BadInput, BadSettings
from serving.pictures.codec import decode_picture, encode_picture

_FORMAT: Final = b"dance-checkpoint-1\n"
_LENGTHS: Final = struct.Struct("<II")  # of the JSON, and of normalize's state; the picture is the rest
_SEAL_BYTES: Final = 32
_LEAST_KEY_BYTES: Final = 32
_MOST_KEYS_BYTES: Final = 2**20
FIELD: Final = "config.checkpoint"


@dataclass(frozen=True, slots=True)
class SessionState:
    """All that the answers to later frames depend on, apart from the config and those frames.

    actor_version: that is danced. sequence, time_s: of the last answered frame. size: of the source's frames; None
    where none was good yet. dancer_at: where the dancer was last seen, as fractions of the frame.
    """

    actor_version: int
    sequence: int
    time_s: float
    size: FrameSize | None
    normalize_state: bytes
    recalled: Recalled
    dancer_at: tuple[float, float] | None = None

    @classmethod
    def behind(cls, passage: Passage, actor_version: int) -> SessionState:
        """The state once `passage` was answered."""
        return cls(
            actor_version,
            passage.sequence,
            passage.time_s,
            passage.size,
            passage.normalize_state,
            passage.recalled,
            passage.dancer_at,
        )


class CheckpointSealer:
    """Makes checkpoints, and opens those that it, or another one with the same key, has made for the same client.

    A checkpoint is readable for its client but cannot be changed or invented: it ends with an HMAC-SHA256 over the
    client's name and all before it.

    keys: the first one seals, all of them open, so that a key can be replaced while sessions run.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def from_file(cls, path: Path | None, *, setting: str) -> CheckpointSealer:
        """Keys are the file's lines, in hexadecimal. None: a random key, good for this process alone.

        Raises BadSettings, which never quotes a key.
        """
        if path is None:
            return cls([secrets.token_bytes(_LEAST_KEY_BYTES)])
        try:
            keys = [bytes.fromhex(line) for line in read_bounded(path, _MOST_KEYS_BYTES).decode("ascii").split()]
        except OSError as error:
            raise BadSettings(setting, f"{path} cannot be read: {error.strerror}") from error
        except BadDocument as error:
            raise BadSettings(setting, f"{path} {error}") from error
        except ValueError:
            raise BadSettings(setting, f"{path} cannot be read: expected lines of hexadecimal digits") from None
        if not keys or min(map(len, keys)) < _LEAST_KEY_BYTES:
            raise BadSettings(setting, f"{path}: expected keys of at least {_LEAST_KEY_BYTES} bytes, one a line")
        return cls(keys)

    def seal(self, state: SessionState, config: SessionConfig, client: str) -> bytes:
        """The checkpoint of a session of `client`."""
        picture = state.recalled.picture
        facts = {
            "config": _binding(config),
            "actor_version": state.actor_version,
            "sequence": state.sequence,
            "time_s": state.time_s,
            "size": state.size and [state.size.width_px, state.size.height_px],
            "dancer_at": state.dancer_at,
            "drawn_at_s": state.recalled.drawn_at_s,
            "picture": None if picture is None else [picture.shape[1], picture.shape[0]],
        }
        text = json.dumps(facts, separators=(",", ":")).encode()
        drawn = b"" if picture is None else encode_picture(picture, PictureEncoding.PNG).data
        body = b"".join(
            [_FORMAT, _LENGTHS.pack(len(text), len(state.normalize_state)), text, state.normalize_state, drawn]
        )
        return body + _seal(self._keys[0], client, body)

    def open(self, data: bytes, config: SessionConfig, client: str) -> SessionState:
        """What `seal` was given. Raises BadInput for anything that was not sealed for `client` and such a config."""
        body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        if not any(hmac.compare_digest(seal, _seal(key, client, body)) for key in self._keys):
            raise BadInput(FIELD, "was not made by this service for this client, or is damaged")
        if not body.startswith(_FORMAT):
            raise BadInput(FIELD, "was made by another version of this service")
        # From here on the bytes are our own.
        text_bytes, state_bytes = _LENGTHS.unpack_from(body, len(_FORMAT))
        begin = len(_FORMAT) + _LENGTHS.size
        facts: dict[str, Any] = json.loads(body[begin : begin + text_bytes])
        for name, value in _binding(config).items():
            if facts["config"][name] != value:
                raise BadInput(FIELD, f"was made with {name} {facts['config'][name]!r}, this session has {value!r}")
        if config.actor_version not in (0, facts["actor_version"]):
            made_with = f"was made with actor version {facts['actor_version']}"
            raise BadInput(FIELD, f"{made_with}, this session has {config.actor_version}")
        state_end = begin + text_bytes + state_bytes
        recalled = NOTHING_RECALLED
        if facts["picture"] is not None:
            width_px, height_px = facts["picture"]
            encoded = EncodedPicture(PictureEncoding.PNG, width_px, height_px, body[state_end:])
            recalled = Recalled(decode_picture(encoded, field=FIELD), facts["drawn_at_s"])
        return SessionState(
            actor_version=facts["actor_version"],
            sequence=facts["sequence"],
            time_s=facts["time_s"],
            size=facts["size"] and FrameSize(*facts["size"]),
            normalize_state=body[begin + text_bytes : state_end],
            recalled=recalled,
            dancer_at=None if facts.get("dancer_at") is None else (facts["dancer_at"][0], facts["dancer_at"][1]),
        )


def _seal(key: bytes, client: str, body: bytes) -> bytes:
    name = client.encode()
    return hmac.new(key, struct.pack("<I", len(name)) + name + body, hashlib.sha256).digest()


def _binding(config: SessionConfig) -> dict[str, Any]:
    """What a session that goes on must have in common with the one before it."""
    return {
        "actor": config.actor,
        "source_body": None if config.source_body is None else asdict(config.source_body),
        "look_ahead_frames": config.look_ahead_frames,
        "frame_rate_hz": config.frame_rate_hz,
    }
