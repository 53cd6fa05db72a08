"""Which backends a process serves, and how an estimator of each is made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.estimator import PeopleEstimator, PoseEstimator, PoseRules
from services.pose.models.card import OpenPoseCard, read_card
from services.pose.openpose.estimator import OpenPoseEstimator, OpenPoseModel
from services.pose.rtmpose.estimator import RtmPoseEstimator, RtmPoseModel
from serving.errors import BadSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """How the pictures of one stream are looked at. detail: as the backend honours it."""

    backend: PoseBackend
    detail: PoseDetail
    rules: PoseRules


Factory = Callable[[PoseDetail, PoseRules], PeopleEstimator]
"""Makes an estimator of MediaPipe."""


def make_estimator(detail: PoseDetail, rules: PoseRules) -> PeopleEstimator:
    """A `PoseEstimator` without masks, which no client asks for."""
    return PoseEstimator(detail, rules=rules)


_HONOURED: Final[Mapping[PoseBackend, Mapping[PoseDetail, PoseDetail]]] = {
    PoseBackend.MEDIAPIPE: {detail: detail for detail in PoseDetail},
    PoseBackend.OPENPOSE: dict.fromkeys(PoseDetail, PoseDetail.BODY),
    PoseBackend.RTMPOSE: dict.fromkeys(PoseDetail, PoseDetail.HOLISTIC),
}


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends of a process: MediaPipe always, the others where a model card names their network."""

    models: Mapping[PoseBackend, OpenPoseModel | RtmPoseModel] = field(default_factory=dict)
    mediapipe: Factory = make_estimator

    def serves(self, backend: PoseBackend) -> bool:
        """Whether estimators of it can be made."""
        return backend is PoseBackend.MEDIAPIPE or backend in self.models

    def look(self, backend: PoseBackend, detail: PoseDetail, rules: PoseRules) -> Look:
        """How `backend` honours `detail`: OpenPose finds bodies, RTMPose always all."""
        return Look(backend, _HONOURED[backend][detail], rules)

    def make(self, look: Look) -> PeopleEstimator:
        """A new estimator; it takes up to some seconds. Raises KeyError for a backend that is not served."""
        if look.backend is PoseBackend.MEDIAPIPE:
            return self.mediapipe(look.detail, look.rules)
        model = self.models[look.backend]
        return OpenPoseEstimator(model) if isinstance(model, OpenPoseModel) else RtmPoseEstimator(model)


def open_model(path: Path, *, cache: Path | None, threads: int) -> tuple[PoseBackend, OpenPoseModel | RtmPoseModel]:
    """The network that the card at `path` describes, with the backend it is for. Raises BadSettings."""
    card = read_card(path)
    if isinstance(card, OpenPoseCard):
        return PoseBackend.OPENPOSE, OpenPoseModel(card, cache=cache, threads=threads)
    return PoseBackend.RTMPOSE, RtmPoseModel(card, cache=cache, threads=threads)


def open_backends(
    cards: Mapping[PoseBackend, Path | None],
    *,
    cache: Path | None = None,
    threads: int = 2,
    mediapipe: Factory = make_estimator,
    told: Callable[[str], None] = _log.info,
) -> Backends:
    """The backends of these cards, each for the one it stands for. Raises BadSettings. told: hears of the licences."""
    models = {}
    for backend, path in cards.items():
        if path is None:
            continue
        found, model = open_model(path, cache=cache, threads=threads)
        if found is not backend:
            raise BadSettings(str(path), f"is a card for the backend {found.value}, expected {backend.value}")
        models[backend] = model
        told(model.card.licence_notice)
    return Backends(models, mediapipe)
