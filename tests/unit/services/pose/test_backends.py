"""The backends of a process and their estimators."""

from __future__ import annotations

import pytest

from motion.pose_choice import PoseBackend, PoseDetail
from services.pose import backends
from services.pose.mediapipe.networks import PoseNetworks, pose_networks
from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings


@pytest.mark.parametrize("threads", [0, 3])
def test_the_networks_of_a_service_have_its_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a node with many cores, a pod with few of them would otherwise have threads, and memory, for all."""
    given: list[PoseNetworks] = []
    monkeypatch.setattr(backends, "PoseEstimator", lambda *args, networks, **others: given.append(networks))
    service = PoseService(PoseSettings(estimating_threads=threads))
    served = service._backends
    served.make(served.config(PoseBackend.MEDIAPIPE, PoseDetail.BODY, PoseSettings().rules()))
    (networks,) = given
    assert networks is pose_networks(threads)
    assert networks.threads == (threads or pose_networks().threads)


def test_streams_of_one_service_share_the_networks() -> None:
    """Whether their number of threads is named or left out."""
    every = pose_networks()
    assert pose_networks(every.threads) is every
