"""`DancerEstimator`: finds the dancer in the frames of one video, in this process, as a server would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from client.errors import CommandError, UsageError
from motion.frame import EncodedPicture, Picture
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from serving.pictures.codec import decode_picture
from serving.process.entry import importing
from serving.rpc.converters import seconds_from_proto, seconds_to_proto

if TYPE_CHECKING:
    from pathlib import Path

    from services.pose.backends import Backends
    from services.pose.estimator import Estimate, Spent

INSTALL_POSE: Final = "install it in a checkout with: pip install -e '.[pose]'"


def opened_backends(cards: dict[PoseBackend, Path]) -> Backends:
    """Open the backends of these model cards. Raises BadSettings, and CommandError without the extra [pose]."""
    try:
        with importing():
            from services.pose import backends  # slow to import: OpenVINO
    except ModuleNotFoundError as error:
        raise CommandError(f"estimating poses needs {error.name}; {INSTALL_POSE}") from error
    return backends.open_backends(cards, told=lambda notice: None)


def check_served(backends: Backends, backend: PoseBackend) -> None:
    """Raise UsageError for a backend without its model card, CommandError if MediaPipe's files are missing."""
    if backend.finds_several and not backends.serves(backend):
        raise UsageError(f"--pose-backend {backend.value} needs --pose-model with the model card of its network")
    if lacks := backends.lacks(backend):
        raise CommandError(f"the pose backend {backend.value} cannot run here: {lacks}")


class DancerEstimator:
    """A pose backend with a server's default rules, which chooses the dancer if it finds several people.

    Creating it can take seconds, after which it is ready for its first frame. Used by one thread at a time. Raises
    what `check_served` raises.
    """

    def __init__(self, backends: Backends, backend: PoseBackend, detail: PoseDetail, dancer: DancerChoice) -> None:
        from services.pose.estimator import PoseRules

        check_served(backends, backend)
        self._estimator = backends.make(backends.config(backend, detail, PoseRules(), dancer))

    @property
    def spent(self) -> Spent:
        """The parts of the time of the last frame."""
        return self._estimator.spent

    def estimate(self, encoded: EncodedPicture, seconds: float) -> tuple[Picture, Estimate]:
        """Return what a server sees of the next frame, `[H, W, 3]` uint8 RGB, and the people it finds there.

        encoded: the picture as `dance transfer` would send it: the loss of its encoding is part of what is seen.
        seconds: when it is shown.
        """
        picture = decode_picture(encoded)
        received_s = seconds_from_proto(seconds_to_proto(seconds))
        return picture, self._estimator.estimate(picture, received_s)

    def close(self) -> None:
        """Release all resources; a second call does nothing."""
        self._estimator.close()
