"""The pose backends of a process, and how to create their estimators."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.estimator import PeopleEstimator, PoseRules
from services.pose.mediapipe_solution.estimator import SolutionEstimator
from services.pose.models.card import OpenPoseCard, read_card
from services.pose.openpose.estimator import OpenPoseEstimator, OpenPoseModel
from services.pose.rtmpose.estimator import RtmPoseEstimator, RtmPoseModel
from serving.errors import BadSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """How to estimate the pictures of one stream. detail: what the backend actually provides."""

    backend: PoseBackend
    detail: PoseDetail
    rules: PoseRules


Factory = Callable[[EstimatorConfig], PeopleEstimator]
"""Creates estimators of the backends `ALWAYS_SERVED`."""

ALWAYS_SERVED: Final = (PoseBackend.MEDIAPIPE, PoseBackend.MEDIAPIPE_SOLUTION)
"""The backends whose networks come with MediaPipe's wheel. The others need a model card."""


def mediapipe_estimator(
    detail: PoseDetail = PoseDetail.HOLISTIC,
    *,
    rules: PoseRules | None = None,
    with_mask: bool = False,
    unrelated_pictures: bool = False,
) -> PeopleEstimator:
    """Create an estimator of the backend `mediapipe`; close it after use.

    with_mask: estimates have a `mask`. unrelated_pictures: the pictures are not a video; detect in each of them.
    """
    return SolutionEstimator(detail, rules=rules, with_mask=with_mask, unrelated_pictures=unrelated_pictures)


def make_estimator(config: EstimatorConfig) -> PeopleEstimator:
    """Create an estimator of a backend in `ALWAYS_SERVED`, without masks, which no client requests."""
    if config.backend is PoseBackend.MEDIAPIPE_SOLUTION:
        return SolutionEstimator(config.detail, rules=config.rules)
    return mediapipe_estimator(config.detail, rules=config.rules)


_ONLY_DETAIL: Final[Mapping[PoseBackend, PoseDetail]] = {
    PoseBackend.OPENPOSE: PoseDetail.BODY,
    PoseBackend.RTMPOSE: PoseDetail.HOLISTIC,
}


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends of a process: always MediaPipe's, the others if a model card names their network."""

    models: Mapping[PoseBackend, OpenPoseModel | RtmPoseModel] = field(default_factory=dict)
    mediapipe: Factory = make_estimator

    def serves(self, backend: PoseBackend) -> bool:
        """Whether this process has the backend."""
        return backend in ALWAYS_SERVED or backend in self.models

    def config(self, backend: PoseBackend, detail: PoseDetail, rules: PoseRules) -> EstimatorConfig:
        """Adapt `detail` to the backend: OpenPose finds only bodies, RTMPose always finds everything."""
        return EstimatorConfig(backend, _ONLY_DETAIL.get(backend, detail), rules)

    def make(self, config: EstimatorConfig) -> PeopleEstimator:
        """Create an estimator, which can take seconds. Raises KeyError for a backend that is not served."""
        if config.backend in ALWAYS_SERVED:
            return self.mediapipe(config)
        model = self.models[config.backend]
        return OpenPoseEstimator(model) if isinstance(model, OpenPoseModel) else RtmPoseEstimator(model)


def open_backends(
    cards: Mapping[PoseBackend, Path | None],
    *,
    cache: Path | None = None,
    threads: int = 2,
    mediapipe: Factory = make_estimator,
    told: Callable[[str], None] = _log.info,
) -> Backends:
    """Open the networks of these cards. Raises BadSettings. told: called with each network's licence notice."""
    models: dict[PoseBackend, OpenPoseModel | RtmPoseModel] = {}
    for backend, path in cards.items():
        if path is None:
            continue
        card = read_card(path)
        if card.backend is not backend:
            raise BadSettings(str(path), f"is a card for the backend {card.backend.value}, expected {backend.value}")
        if isinstance(card, OpenPoseCard):
            models[backend] = OpenPoseModel(card, cache=cache, threads=threads)
        else:
            models[backend] = RtmPoseModel(card, cache=cache, threads=threads)
        told(card.licence_notice)
    return Backends(models, mediapipe)
