"""What a status says beside its message: the `google.rpc` details that `interceptor.py` writes, read again."""

from __future__ import annotations

from dataclasses import dataclass

import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class Refusal:
    """field: path of the refused value, or empty. retry_after_seconds: when to ask again; None where it is not said."""

    field: str = ""
    retry_after_seconds: float | None = None


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """The details of `error`; an empty Refusal where it has none, or none that fit its status."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details speak of another status: somebody between us and the server replaced it
        return Refusal()
    field, retry_after_seconds = "", None
    for detail in () if status is None else status.details:
        bad_request, retry_info = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(bad_request) and bad_request.field_violations:
            field = bad_request.field_violations[0].field
        elif detail.Unpack(retry_info):
            retry_after_seconds = max(0.0, retry_info.retry_delay.ToTimedelta().total_seconds())
    return Refusal(field, retry_after_seconds)
