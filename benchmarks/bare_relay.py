"""A process that only moves the pipeline's messages, to measure the cost of gRPC alone.

`python -m benchmarks.bare_relay echo BYTES` answers every message of a stream with that many bytes.
`python -m benchmarks.bare_relay relay NORMALIZE STAGES POSE TENSORS CROPS ANSWER` makes the orchestrator's calls for
each message of its single client: a message to pose, one to normalize, a call of the generator, a call of the face
stage, and an answer. NORMALIZE and STAGES are addresses; the rest are the sizes in bytes of the messages that it sends.

Both print `ready port=... health_port=...`. They neither build nor parse messages, and frames do not overlap, so no
service on `grpc.aio` that moves as much can be cheaper.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc

from serving.rpc.channels import open_channel
from serving.rpc.server import SERVER_OPTIONS

SERVICE: Final = "bare.Relay"
TRANSFER, POSE, NORMALIZE, GENERATOR, FACE = "Transfer", "Pose", "Normalize", "Generator", "Face"
_CALL_SECONDS: Final = 10.0

Behaviour = Callable[[Any, Any], Any]


def path(method: str) -> str:
    """Return the full name of a method, as a channel expects it."""
    return f"/{SERVICE}/{method}"


def handlers(streams: Mapping[str, Behaviour], unary: Mapping[str, Behaviour]) -> grpc.GenericRpcHandler:
    """Return a handler for methods that receive and return plain bytes."""
    methods = {name: grpc.stream_stream_rpc_method_handler(behaviour) for name, behaviour in streams.items()}
    methods |= {name: grpc.unary_unary_rpc_method_handler(behaviour) for name, behaviour in unary.items()}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def echo(answer_bytes: int) -> Behaviour:
    """Return a stream handler that answers each message with that many zeros."""
    answer = bytes(answer_bytes)

    async def behaviour(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        async for _ in requests:
            await context.write(answer)

    return behaviour


def constant(answer_bytes: int) -> Behaviour:
    """Return a unary handler that answers with that many zeros."""
    answer = bytes(answer_bytes)

    async def behaviour(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return answer

    return behaviour


def relay(normalize: str, stages: str, sizes: tuple[int, int, int, int]) -> Behaviour:
    """Return a handler that makes the orchestrator's calls, one after another.

    sizes: bytes of a pose, the generator's inputs, the face's inputs, and an answer.
    """
    to_normalize, to_stages = open_channel(normalize), open_channel(stages)
    to_generator, to_face = to_stages.unary_unary(path(GENERATOR)), to_stages.unary_unary(path(FACE))
    pose, tensors, crops, answer = (bytes(size) for size in sizes)

    async def behaviour(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        pose_call = to_stages.stream_stream(path(POSE))()
        normalize_call = to_normalize.stream_stream(path(NORMALIZE))()
        async for request in requests:
            await pose_call.write(request)
            await pose_call.read()
            await normalize_call.write(pose)
            await normalize_call.read()
            await to_generator(tensors, timeout=_CALL_SECONDS)
            await to_face(crops, timeout=_CALL_SECONDS)
            await context.write(answer)

    return behaviour


async def main(role: str, *arguments: str) -> None:
    """Serve on a free port until SIGTERM."""
    if role == "echo":
        handler = handlers({NORMALIZE: echo(int(arguments[0]))}, {})
    else:
        normalize, stages, pose, tensors, crops, answer = arguments
        handler = handlers({TRANSFER: relay(normalize, stages, (int(pose), int(tensors), int(crops), int(answer)))}, {})
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((handler,))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(f"ready port={port} health_port={port}", flush=True)
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
