"""Pose estimation in this process, without a server, for `dance pose` and `dance evaluate-pose`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from client.errors import CommandError, UsageError
from client.media.frame_feed import JPEG_QUALITY, shrunk
from motion.frame import FrameSize, Picture, PictureEncoding
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.people.person_tracking import DancerTracker
from motion.pose_choice import PoseBackend, PoseDetail
from serving.pictures.codec import decode_picture, encode_picture
from serving.process.entry import importing
from video.reader import SourceFrame, VideoReader

if TYPE_CHECKING:
    from services.pose.backends import Backends
    from services.pose.estimator import Estimate, PeopleEstimator

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
class Looked:
    """One frame: as decoded, as a server would see it, and the people found in it.

    seen: `[H, W, 3]` uint8 RGB, shrunk and encoded as JPEG once, as `dance transfer` sends it; poses are in its pixels.
    prepare_seconds, network_seconds: the parts of the compute time before and in the network.
    """

    source: SourceFrame
    seen: Picture
    estimate: Estimate
    prepare_seconds: float
    network_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LookRequest:
    """How to estimate poses. max_side_px: larger frames are shrunk first."""

    models: PoseModels
    detail: PoseDetail = PoseDetail.HOLISTIC
    dancer: DancerChoice = field(default_factory=DancerChoice)
    max_side_px: int = 1280


class Looking:
    """A video with its pose estimator; a context manager. Finds the same poses as a server with that backend.

    Raises UnreadableVideo, BadSettings for a model card, UsageError for a dancer that the backend cannot choose, and
    CommandError without the extra [pose].
    """

    def __init__(self, source: str, request: LookRequest, backends: Backends | None = None) -> None:
        self._request = request
        with ExitStack() as closing:
            self.reader = closing.enter_context(VideoReader(source))
            backends = opened_backends(request.models) if backends is None else backends
            self._estimator, self._tracker = _started(backends, request)
            closing.callback(self._estimator.close)
            self._closing = closing.pop_all()

    def __enter__(self) -> Looking:
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def frames(self) -> Iterator[Looked]:
        """Every frame, in order; call it once. Raises UnreadableVideo if no frame can be decoded."""
        from services.pose.estimator import tracked

        for source in self.reader.frames():
            encoded = encode_picture(
                shrunk(source.pixels, self._request.max_side_px), PictureEncoding.JPEG, JPEG_QUALITY
            )
            seen = decode_picture(encoded)
            estimate = self._estimator.estimate(seen)
            if self._tracker is not None:
                size = FrameSize(seen.shape[1], seen.shape[0])
                estimate = tracked(estimate, self._tracker, size, max(0.0, source.seconds))
            spent = self._estimator.spent
            yield Looked(source, seen, estimate, spent.prepare_seconds, spent.network_seconds)


def opened_backends(models: PoseModels) -> Backends:
    """Open the backends of these cards. Raises BadSettings, and CommandError without the extra [pose]."""
    try:
        with importing():
            from services.pose import backends  # MediaPipe takes a second to import
    except ModuleNotFoundError as error:
        raise CommandError(
            f"estimating poses needs {error.name}; install it in a checkout with: pip install -e '.[pose]'"
        ) from error
    return backends.open_backends(models.cards, told=lambda notice: None)


def _started(backends: Backends, request: LookRequest) -> tuple[PeopleEstimator, DancerTracker | None]:
    from services.pose.estimator import PoseRules

    backend = request.models.chosen
    if not backends.serves(backend):
        raise UsageError(f"--pose-backend {backend.value} needs --pose-model with the model card of its network")
    if not backend.finds_several and request.dancer.rule is not DancerRule.LARGEST:
        raise UsageError("--dancer: mediapipe finds one person; --pose-backend openpose or rtmpose finds several")
    config = backends.config(backend, request.detail, PoseRules())
    return backends.make(config), DancerTracker(request.dancer) if backend.finds_several else None
