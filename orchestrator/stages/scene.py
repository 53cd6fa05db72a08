"""What an answer shows: the generated picture as it is, or the person over another background or the whole plate."""

from __future__ import annotations

from motion.crop import resized
from motion.face_region import paste_face
from motion.frame import FrameSize, Picture, RgbaPicture
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.session_config import SessionConfig
from serving.actors.store import Actor
from serving.errors import BadInput
from serving.pictures.codec import PictureLimits
from serving.pictures.compositing import (
    changed_like,
    laid_on_footage,
    laid_over,
    on_footage,
    with_straight_alpha,
    without_old_place,
)

_FIELD = "config.background"


class Scene:
    """Composes the answers' pictures of one session, with the refined face. Safe to share between threads.

    limits: of a background picture. Reads the plate and decodes the background picture, so create it in a thread.

    Raises ActorUnusable for a damaged plate, BadPicture for a bad background, and BadInput for an actor who cannot be
    laid over another background.
    """

    def __init__(self, config: SessionConfig, actor: Actor, limits: PictureLimits) -> None:
        self._full_frame = config.output.full_frame
        self._transparent = config.background.transparent
        crop_size = FrameSize(actor.crop.out_width_px, actor.crop.out_height_px)
        self.size = actor.frame_size if self._full_frame else crop_size
        self.is_own_place = config.background.is_own_place
        if not self.is_own_place and not actor.draws_person:
            who = f"actor {actor.id!r} version {actor.version}"
            reason = f"{who} was published without a wardrobe, so it cannot leave its own place"
            raise BadInput(_FIELD, f"{reason}; leave the background out, or train the actor again")
        self.needs_person = actor.draws_person and (self._full_frame or not self.is_own_place)
        self._behind = config.background.drawn(self.size, limits, field=f"{_FIELD}.picture")
        if self.is_own_place and self._full_frame:
            self._behind = actor.read_plate()
        self._smaller_behind: dict[FrameSize, Picture] = {}

    @property
    def is_generated_picture(self) -> bool:
        """Whether answers show the generated picture as it is, apart from the face."""
        return self.is_own_place and not self._full_frame

    def picture(self, frame: InFlightFrame) -> Picture | RgbaPicture:
        """Return the picture of a frame that was generated.

        `[H, W, 3]` uint8 RGB; with a transparent background `[H, W, 4]` with straight alpha. It has the size of the
        frame's rung, or with the full frame that of the footage.
        """
        assert frame.generated is not None
        assert frame.rung is not None
        crop = frame.rung.crop
        picture = _with_face(frame.generated, frame)
        if not self.needs_person:
            return picture if self._behind is None else crop.paste(picture, self._behind)
        assert frame.person is not None
        # Cleaned before the face changes: the face network's colours must not decide about the opacity.
        person = frame.person if self.is_own_place else without_old_place(frame.person)
        person = changed_like(person, frame.generated, picture)
        if self._transparent:
            alone = on_footage(person, crop, self.size) if self._full_frame else person
            return with_straight_alpha(alone)
        assert self._behind is not None
        if self._full_frame:
            return laid_on_footage(person, crop, self._behind)
        return laid_over(person, self._behind_at(frame.rung.size, self._behind))

    def _behind_at(self, size: FrameSize, behind: Picture) -> Picture:
        """Return the background for a picture of `size`."""
        if size == self.size:
            return behind
        if size not in self._smaller_behind:
            self._smaller_behind[size] = resized(behind, size.width_px, size.height_px)
        return self._smaller_behind[size]


def _with_face(picture: Picture, frame: InFlightFrame) -> Picture:
    if frame.refined_face is None:
        return picture
    assert frame.face_region is not None
    return paste_face(picture, frame.refined_face, frame.face_region)
