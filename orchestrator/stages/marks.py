"""`Marks`: what the encode stage adds to pictures so that they can be recognised as synthetic."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from motion.frame import Picture, RgbaPicture
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.session_config import SessionConfig
from provenance.label import VisibleLabel, head_box
from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from provenance.watermark.server_key import ServerKey
from serving.actors.store import Actor
from serving.observability import metrics

_HASHED_BYTES: Final = 2**16
"""Of the first frame: enough to tell sessions apart, and hashed in less than 0.1 ms."""


class SessionMark:
    """What the watermark of one session says. It is the same wherever the session is resumed.

    It is a keyed hash of the actor, the client's name and what is danced: a session that is danced again has the same
    pictures again, byte for byte. A LOSSLESS session knows what is danced by the body stats of the whole clip, which
    are the same whether the client sends pictures or poses; a LIVE one by its first frame. LOSSLESS sessions without
    body stats, of one client and actor, therefore share their hash.

    key: None if the server adds no watermark. carried: from a checkpoint; None for a session that begins.
    """

    def __init__(self, key: ServerKey | None, client: str, config: SessionConfig, carried: Payload | None) -> None:
        self._key = key
        self._client = client
        self._config = config
        self.payload = carried if key is not None else None

    @property
    def key_id(self) -> int | None:
        """The server's key id, as the client is told; None without a watermark."""
        return None if self._key is None else self._key.id

    def begin(self, frame: InFlightFrame, actor: Actor) -> None:
        """Decide what the watermark says, at the session's first frame. Later frames change nothing."""
        if self._key is None or self.payload is not None:
            return
        facts: list[str | bytes] = [actor.id, str(actor.version), self._client]
        if self._config.source_body is not None:
            facts.append(json.dumps(self._config.source_body.to_dict(), sort_keys=True))
        if self._config.live and frame.picture is not None:
            facts += [str(len(frame.picture.data)), hashlib.sha256(frame.picture.data[:_HASHED_BYTES]).digest()]
        if self._config.live and frame.source_pose is not None:
            facts.append(frame.source_pose.joints_px.tobytes())
        self.payload = self._key.payload(facts)


class Marks:
    """Marks the pictures of one session: the label that people see, then the watermark that programs find.

    full_frame: whether pictures have the footage's pixels, in which the normalised pose is. label: empty for none.
    """

    def __init__(self, mark: SessionMark, label: str, *, full_frame: bool) -> None:
        self._mark = mark
        self._label = VisibleLabel(label) if label else None
        self._full_frame = full_frame
        self._watermark: Watermark | None = None

    def marked(self, picture: Picture | RgbaPicture, frame: InFlightFrame) -> Picture | RgbaPicture:
        """Return the frame's picture, `[H, W, 3]` or `[H, W, 4]` uint8, as it may be sent."""
        if self._label is not None:
            metrics.child(metrics.MARKED_FRAMES, "label").inc()
        metrics.child(metrics.MARKED_FRAMES, "none" if self._mark.payload is None else "watermark").inc()
        return self._watermarked(self._labelled(picture, frame, full_frame=self._full_frame))

    def reference(self, picture: RgbaPicture, frame: InFlightFrame) -> RgbaPicture:
        """Return the frame's reference, `[H, W, 4]` uint8 of the network's size, as it may be sent."""
        return self._watermarked(self._labelled(picture, frame, full_frame=False))

    def _labelled(
        self, picture: Picture | RgbaPicture, frame: InFlightFrame, *, full_frame: bool
    ) -> Picture | RgbaPicture:
        if self._label is None:
            return picture
        pose = frame.normalized_pose
        if pose is not None and not full_frame:
            assert frame.rung is not None
            pose = frame.rung.crop.to_crop(pose)
        return self._label.burned(picture, None if pose is None else head_box(pose))

    def _watermarked(self, picture: Picture | RgbaPicture) -> Picture | RgbaPicture:
        payload = self._mark.payload
        if payload is None:
            return picture
        if self._watermark is None or self._watermark.payload != payload:
            self._watermark = Watermark(payload)
        return self._watermark.marked(picture)
