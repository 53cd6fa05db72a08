"""The pose backends of a process, and how to create their estimators."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from motion.people.dancer_choice import DancerChoice
from motion.people.person_tracking import DancerTracker, TrackingRules
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.estimator import PeopleEstimator, PoseRules
from services.pose.mediapipe.estimator import PoseEstimator
from services.pose.mediapipe.model_files import models_folder
from services.pose.mediapipe.networks import pose_networks
from services.pose.mediapipe_solution import wheel
from services.pose.models.card import OpenPoseCard, read_card
from services.pose.openpose.estimator import OpenPoseEstimator, OpenPoseModel
from services.pose.rtmpose.estimator import RtmPoseEstimator, RtmPoseModel
from services.pose.tracked_estimator import TrackedEstimator, states
from serving.errors import BadSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """How to estimate the pictures of one stream. detail: what the backend actually provides.

    dancer, tracking: for backends that find several people.
    """

    backend: PoseBackend
    detail: PoseDetail
    rules: PoseRules
    dancer: DancerChoice = field(default_factory=DancerChoice)
    tracking: TrackingRules = field(default_factory=TrackingRules)


Factory = Callable[[EstimatorConfig, bytes], PeopleEstimator]
"""Creates estimators of the backends `ALWAYS_SERVED`, with a state; see `PeopleEstimator`."""

ALWAYS_SERVED: Final = (PoseBackend.MEDIAPIPE, PoseBackend.MEDIAPIPE_SOLUTION)
"""The backends that need no model card: their networks come with MediaPipe's wheel."""


def mediapipe_estimator(
    detail: PoseDetail = PoseDetail.HOLISTIC,
    *,
    rules: PoseRules | None = None,
    with_mask: bool = False,
    unrelated_pictures: bool = False,
    state: bytes = b"",
) -> PeopleEstimator:
    """Create an estimator of the backend `mediapipe`; close it after use. Raises ValueError for an invalid state.

    with_mask: estimates have a `mask`. unrelated_pictures: the pictures are not a video; detect in each of them.
    """
    return PoseEstimator(detail, rules=rules, with_mask=with_mask, unrelated_pictures=unrelated_pictures, state=state)


def make_estimator(config: EstimatorConfig, state: bytes, *, threads: int = 0) -> PeopleEstimator:
    """Create an estimator of a backend in `ALWAYS_SERVED`, without masks, which no client requests.

    threads: how many pictures at a time the networks of MEDIAPIPE run on; 0 for one on each core of this process.

    Check `Backends.lacks` first: MEDIAPIPE raises BadSettings if its files are missing, MEDIAPIPE_SOLUTION
    ModuleNotFoundError without its wheel.
    """
    if config.backend is PoseBackend.MEDIAPIPE_SOLUTION:
        # The wheel's code takes seconds and 200 MB to load, and the other backends do without.
        from services.pose.mediapipe_solution.estimator import SolutionEstimator

        return SolutionEstimator(config.detail, rules=config.rules, state=state)
    return PoseEstimator(config.detail, rules=config.rules, state=state, networks=pose_networks(threads))


_ONLY_DETAIL: Final[Mapping[PoseBackend, PoseDetail]] = {
    PoseBackend.OPENPOSE: PoseDetail.BODY,
    PoseBackend.RTMPOSE: PoseDetail.HOLISTIC,
}


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends of a process: MediaPipe's if its files are here, the others if a card names their network."""

    models: Mapping[PoseBackend, OpenPoseModel | RtmPoseModel] = field(default_factory=dict)
    mediapipe: Factory = make_estimator

    def serves(self, backend: PoseBackend) -> bool:
        """Whether this process has the backend."""
        return not self.lacks(backend)

    def lacks(self, backend: PoseBackend) -> str:
        """Return what this process lacks for the backend, for people; empty if it serves it."""
        if backend is PoseBackend.MEDIAPIPE_SOLUTION:
            return "" if wheel.is_installed() else wheel.MISSING
        if backend is PoseBackend.MEDIAPIPE:
            try:
                models_folder()
            except BadSettings as error:
                return error.problem
            return ""
        return "" if backend in self.models else f"POSE_{backend.name}_CARD is not set"

    def config(
        self,
        backend: PoseBackend,
        detail: PoseDetail,
        rules: PoseRules,
        dancer: DancerChoice = DancerChoice(),
        tracking: TrackingRules = TrackingRules(),
    ) -> EstimatorConfig:
        """Adapt `detail` to the backend: OpenPose finds only bodies, RTMPose always finds everything."""
        return EstimatorConfig(backend, _ONLY_DETAIL.get(backend, detail), rules, dancer, tracking)

    def make(self, config: EstimatorConfig, state: bytes = b"") -> PeopleEstimator:
        """Create an estimator, which can take seconds.

        Raises KeyError for a backend that is not served, and ValueError for an invalid state; see `PeopleEstimator`.
        """
        if config.backend in ALWAYS_SERVED:
            return self.mediapipe(config, state)
        model = self.models[config.backend]
        own_state, tracker_state = states(state)
        tracker = DancerTracker(config.dancer, config.tracking, tracker_state)
        if isinstance(model, OpenPoseModel):
            return TrackedEstimator(OpenPoseEstimator(model, own_state), tracker)
        return TrackedEstimator(RtmPoseEstimator(model, own_state), tracker)


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
