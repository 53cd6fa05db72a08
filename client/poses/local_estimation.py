"""Pose estimation in this process, without a server, for `dance pose` and `dance evaluate-pose`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from client.errors import UsageError
from client.media.frame_feed import JPEG_QUALITY
from client.poses.dancer_estimator import DancerEstimator, opened_backends
from client.poses.scores import FoundPeople
from motion.crop import shrunk
from motion.frame import FrameSize, Picture, PictureEncoding
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from serving.pictures.codec import encode_picture
from video.reader import VideoReader

if TYPE_CHECKING:
    from services.pose.backends import Backends

DETAIL_HELP: Final = "body: no face and hands; holistic: with them; live: with them, but not estimated in every frame."
_SETTING: Final = {PoseBackend.OPENPOSE: "POSE_OPENPOSE_CARD", PoseBackend.RTMPOSE: "POSE_RTMPOSE_CARD"}


@dataclass(frozen=True, slots=True)
class PoseModels:
    """The requested backend, and the given model cards by backend."""

    backend: PoseBackend | None = None
    cards: dict[PoseBackend, Path] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """The licences the user accepts, one line per card."""

    @property
    def settings(self) -> dict[str, str]:
        """The settings for a pose service of a local stack."""
        return {_SETTING[backend]: str(path.resolve()) for backend, path in self.cards.items()}

    @property
    def chosen(self) -> PoseBackend:
        """The backend: the requested one, else the one with a card, else MediaPipe. Raises UsageError."""
        if self.backend is not None:
            return self.backend
        if len(self.cards) > 1:
            raise UsageError("--pose-model names cards of two backends; choose one with --pose-backend")
        return next(iter(self.cards), PoseBackend.MEDIAPIPE)


def pose_models(backend: PoseBackend | None, cards: list[Path]) -> PoseModels:
    """Read the cards. Raises BadSettings for an invalid card, and UsageError for two cards of one backend."""
    if not cards:
        return PoseModels(backend)
    from services.pose.models.card import OpenPoseCard, read_card

    found: dict[PoseBackend, Path] = {}
    notices = []
    for path in cards:
        card = read_card(path)
        kind = PoseBackend.OPENPOSE if isinstance(card, OpenPoseCard) else PoseBackend.RTMPOSE
        if kind in found:
            raise UsageError(f"--pose-model: {found[kind]} and {path} are both cards of {kind.value}")
        found[kind] = path
        notices.append(card.licence_notice)
    models = PoseModels(backend, found, tuple(notices))
    if backend is not None and backend not in found:
        raise UsageError(f"--pose-backend is {backend.value}, but the card is for {', '.join(k.value for k in found)}")
    return models


@dataclass(frozen=True, slots=True, eq=False)
class EstimatedFrame:
    """One frame and the people found in it.

    size: of the source's frame. picture: `[H, W, 3]` uint8 RGB, shrunk and encoded as JPEG once, as `dance transfer`
    sends it; poses are in its pixels.
    """

    pts: int
    size: FrameSize
    picture: Picture
    found: FoundPeople


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimationOptions:
    """How to estimate poses. max_side_px: larger frames are shrunk first."""

    models: PoseModels
    dancer: DancerChoice = field(default_factory=DancerChoice)
    detail: Annotated[PoseDetail, typer.Option("--detail", help=DETAIL_HELP)] = PoseDetail.HOLISTIC
    max_side_px: Annotated[
        int, typer.Option("--max-side", min=64, help="Shrink larger frames to this longer side first.")
    ] = 1280


class VideoEstimator:
    """A video with its pose estimator; a context manager. Finds the same poses as a server with that backend.

    Raises UnreadableVideo, BadSettings for a model card, UsageError for a backend without its card, and CommandError
    without the extra [pose].
    """

    def __init__(self, source: str, options: EstimationOptions, backends: Backends | None = None) -> None:
        self._options = options
        with ExitStack() as closing:
            self.reader = closing.enter_context(VideoReader(source))
            backends = opened_backends(options.models.cards) if backends is None else backends
            self._estimator = DancerEstimator(backends, options.models.chosen, options.detail, options.dancer)
            closing.callback(self._estimator.close)
            self._closing = closing.pop_all()

    def __enter__(self) -> VideoEstimator:
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def frames(self) -> Iterator[EstimatedFrame]:
        """Every frame, in order; call it once. Raises UnreadableVideo if no frame can be decoded."""
        for source in self.reader.frames():
            pixels = shrunk(source.pixels, self._options.max_side_px)
            encoded = encode_picture(pixels, PictureEncoding.JPEG, JPEG_QUALITY)
            picture, estimate = self._estimator.estimate(encoded, max(0.0, source.seconds))
            found = FoundPeople(
                estimate.people,
                estimate.person_ids or (1,) * len(estimate.people),
                estimate.dancer_index,
                estimate.dancer_lost,
                estimate.dancer_changed,
                estimate.compute_seconds,
                self._estimator.spent.prepare_seconds,
                self._estimator.spent.network_seconds,
            )
            yield EstimatedFrame(source.pts, FrameSize(source.pixels.shape[1], source.pixels.shape[0]), picture, found)
