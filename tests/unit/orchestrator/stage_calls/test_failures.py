"""What the failure of a call to a stage becomes."""

from __future__ import annotations

import grpc.aio
import pytest

from orchestrator.stage_calls.failures import stage_errors
from serving.errors import StageUnavailable
from serving.rpc.client_stream import LOST_STATUS


def test_a_lost_status_is_described_by_what_happened():
    """If grpcio lost the stage's status, the error says what is known, and not grpcio's own words."""
    code, details = LOST_STATUS
    lost = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
    with (
        pytest.raises(StageUnavailable, match="frame 3: UNAVAILABLE: it ended the stream while a frame was being sent"),
        stage_errors("pose", 3, 1.0),
    ):
        raise lost
