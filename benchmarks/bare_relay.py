"""A process that moves the chain's messages and does nothing else: what gRPC alone costs.

`python -m benchmarks.bare_relay echo BYTES` answers every message of a stream with as many bytes.
`python -m benchmarks.bare_relay relay NORMALIZE STAGES POSE_BYTES TENSOR_BYTES FACE_BYTES ANSWER_BYTES` makes the
orchestrator's calls: for each message of its one client a message to pose, to normalize, a call to the generator, a
call to the face stage, and an answer. NORMALIZE and STAGES are addresses.

Both print a ready line as our services do. Bytes are neither parsed nor built, so nothing is cheaper with `grpc.aio`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import grpc
import grpc.aio

from serving.channels import open_channel
from serving.server import SERVER_OPTIONS

SERVICE: Final = "bare.Relay"
TRANSFER, POSE, NORMALIZE, GENERATOR, FACE = "Transfer", "Pose", "Normalize", "Generator", "Face"

Behaviour = Callable[[Any, Any], Any]


def path(method: str) -> str:
    """A method's full name, as a channel wants it."""
    return f"/{SERVICE}/{method}"


def handlers(streams: Mapping[str, Behaviour], unary: Mapping[str, Behaviour]) -> grpc.GenericRpcHandler:
    """Methods that take and give plain bytes."""
    methods = {name: grpc.stream_stream_rpc_method_handler(behaviour) for name, behaviour in streams.items()}
    methods |= {name: grpc.unary_unary_rpc_method_handler(behaviour) for name, behaviour in unary.items()}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def echo(answer_bytes: int) -> Behaviour:
    """A stream that answers each message with so many zeros."""
    answer = bytes(answer_bytes)

    async def behaviour(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        async for _ in requests:
            await context.write(answer)

    return behaviour


def relay(normalize: str, stages: str, pose: int, tensor: int, face: int, answer: int) -> Behaviour:
    """The orchestrator's calls, one after the other. The numbers are sizes in bytes of what it sends."""
    to_normalize, to_stages = open_channel(normalize), open_channel(stages)
    to_generator, to_face = to_stages.unary_unary(path(GENERATOR)), to_stages.unary_unary(path(FACE))
    pose_message, tensors, crops, answer_message = bytes(pose), bytes(tensor), bytes(face), bytes(answer)

    async def behaviour(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        pose_call = to_stages.stream_stream(path(POSE))()
        normalize_call = to_normalize.stream_stream(path(NORMALIZE))()
        async for request in requests:
            await pose_call.write(request)
            await pose_call.read()
            await normalize_call.write(pose_message)
            await normalize_call.read()
            await to_generator(tensors, timeout=10)
            await to_face(crops, timeout=10)
            await context.write(answer_message)

    return behaviour


async def serve(handler: grpc.GenericRpcHandler, ready: Callable[[int], None] | None = None) -> None:
    """Serves on a free port until SIGTERM."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(f"ready port={port}", flush=True)
    await ended.wait()
    await server.stop(0)


async def main(role: str, *arguments: str) -> None:
    if role == "echo":
        await serve(handlers({NORMALIZE: echo(int(arguments[0]))}, {}))
    else:
        normalize, stages, *sizes = arguments
        await serve(handlers({TRANSFER: relay(normalize, stages, *map(int, sizes))}, {}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
