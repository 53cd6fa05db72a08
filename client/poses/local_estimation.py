"""Poses of a video, found here and not by a server: what `dance pose` and `dance evaluate-pose` have in common."""

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
from motion.people.person_tracking import Follower
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
    """The backend that was asked for, and the model cards that were named, each with the backend that it is for."""

    backend: PoseBackend | None = None
    cards: dict[PoseBackend, Path] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """Which licences the user accepts, a line for each card."""

    @property
    def settings(self) -> dict[str, str]:
        """What a pose service that is started here is told."""
        return {_SETTING[backend]: str(path.resolve()) for backend, path in self.cards.items()}

    @property
    def chosen(self) -> PoseBackend:
        """The backend: the one that was named, or the one there is a card for, or MediaPipe. Raises UsageError."""
        if self.backend is not None:
            return self.backend
        if len(self.cards) > 1:
            raise UsageError("--pose-model names cards of two backends; --pose-backend says which one it shall be")
        return next(iter(self.cards), PoseBackend.MEDIAPIPE)


def pose_models(backend: PoseBackend | None, cards: list[Path]) -> PoseModels:
    """Reads the cards. Raises BadSettings for a card that is none, UsageError for two of one backend."""
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
        raise UsageError(f"--pose-backend is {backend.value}, the card is one of {', '.join(k.value for k in found)}")
    return models


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """One frame: as the video has it, as a server would see it, and who was found in it.

    seen: `[H, W, 3]` uint8 RGB, shrunk and once through JPEG, as `dance transfer` sends it; poses are in its pixels.
    prepare_seconds, network_seconds: of the estimate's seconds, those before and in the network.
    """

    source: SourceFrame
    seen: Picture
    estimate: Estimate
    prepare_seconds: float
    network_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LookRequest:
    """How to look. max_side_px: larger frames are shrunk first."""

    models: PoseModels
    detail: PoseDetail = PoseDetail.HOLISTIC
    dancer: DancerChoice = field(default_factory=DancerChoice)
    max_side_px: int = 1280


class Looking:
    """A video and an estimator for it; a context manager. The same poses come out as from a server with that backend.

    Raises UnreadableVideo, BadSettings for a model card, UsageError for a dancer that the backend cannot choose, and
    CommandError where the extra [pose] is not installed.
    """

    def __init__(self, source: str, request: LookRequest, backends: Backends | None = None) -> None:
        self._request = request
        with ExitStack() as closing:
            self.reader = closing.enter_context(VideoReader(source))
            backends = opened_backends(request.models) if backends is None else backends
            self._estimator, self._follower = _started(backends, request)
            closing.callback(self._estimator.close)
            self._closing = closing.pop_all()

    def __enter__(self) -> Looking:
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def frames(self) -> Iterator[Looked]:
        """Every frame, in order; call it once. Raises UnreadableVideo when not a single one decodes."""
        from services.pose.estimator import followed

        for source in self.reader.frames():
            encoded = encode_picture(
                shrunk(source.pixels, self._request.max_side_px), PictureEncoding.JPEG, JPEG_QUALITY
            )
            seen = decode_picture(encoded)
            estimate = self._estimator.estimate(seen)
            if self._follower is not None:
                size = FrameSize(seen.shape[1], seen.shape[0])
                estimate = followed(estimate, self._follower, size, max(0.0, source.seconds))
            spent = self._estimator.spent
            yield Looked(source, seen, estimate, spent.prepare_seconds, spent.network_seconds)


def opened_backends(models: PoseModels) -> Backends:
    """The backends of these cards, opened. Raises BadSettings, and CommandError without the extra [pose]."""
    try:
        with importing():
            from services.pose import backends  # MediaPipe takes a second to import
    except ModuleNotFoundError as error:
        raise CommandError(f"finding poses needs {error.name}: in a checkout, pip install -e '.[pose]'") from error
    return backends.open_backends(models.cards, told=lambda notice: None)


def _started(backends: Backends, request: LookRequest) -> tuple[PeopleEstimator, Follower | None]:
    from services.pose.estimator import PoseRules

    backend = request.models.chosen
    if not backends.serves(backend):
        raise UsageError(f"--pose-backend {backend.value} needs --pose-model, the model card of its network")
    if not backend.finds_several and request.dancer.rule is not DancerRule.LARGEST:
        raise UsageError("--dancer: mediapipe finds one person; --pose-backend openpose or rtmpose finds several")
    config = backends.config(backend, request.detail, PoseRules())
    return backends.make(config), Follower(request.dancer) if backend.finds_several else None
