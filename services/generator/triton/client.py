"""The agent's gRPC client of a Triton, local or remote: load actors, check that they draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc.aio as triton_grpc
from grpc import StatusCode
from tritonclient.utils import InferenceServerException

from motion.frame import Picture
from services.generator.inputs import blank_inputs
from services.generator.triton.access_key import key_header
from serving.actors.store import Actor
from serving.errors import BadSettings, DanceError
from serving.rpc.channels import CHANNEL_OPTIONS
from serving.transport.tls import ChannelTls, channel_credentials


class TritonRefused(DanceError):
    """A request to Triton failed or timed out; the message is Triton's."""

    code = StatusCode.UNAVAILABLE
    retryable = True


class TritonClient:
    """A gRPC connection to one Triton; `close` it at the end.

    load_seconds: time-out for loading or unloading a model. canary_seconds: time-out for one picture, its time in the
    queue included. answer_seconds: time-out for health, index and statistics. tls: None is plaintext. repository_key:
    returns the key for loading models, or empty; called each time, because a restarted Triton has a new key. Raises
    BadSettings for the files of `tls`.
    """

    def __init__(
        self,
        address: str,
        *,
        load_seconds: float,
        canary_seconds: float,
        answer_seconds: float = 2.0,
        tls: ChannelTls | None = None,
        repository_key: Callable[[], str] = lambda: "",
    ) -> None:
        self.address = address
        self._answer_seconds = answer_seconds
        self._load_seconds = load_seconds
        self._canary_seconds = canary_seconds
        self._repository_key = repository_key
        self._client = connected(address, tls)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def answers(self) -> bool:
        """Return whether Triton is live. Its readiness is useless here: it stays true after a stub has died."""
        try:
            return bool(await self._client.is_server_live(client_timeout=self._answer_seconds))
        except (InferenceServerException, grpc.RpcError):
            return False

    def _headers(self) -> dict[str, str] | None:
        try:
            return key_header(self._repository_key())
        except BadSettings as error:
            raise TritonRefused(str(error)) from error

    async def load(self, actor_id: str) -> None:
        """Load the versions in the actor's repository entry; the loaded ones serve until the new ones are ready.

        Raises TritonRefused.
        """
        await _requested(self._client.load_model(actor_id, self._headers(), client_timeout=self._load_seconds))

    async def unload(self, actor_id: str) -> None:
        """Unload all versions; does nothing if none is loaded. Raises TritonRefused."""
        await _requested(self._client.unload_model(actor_id, self._headers(), client_timeout=self._load_seconds))

    async def ready(self) -> set[tuple[str, int]]:
        """Return actor and version of every model that Triton reports as ready. Raises TritonRefused."""
        index = await _requested(
            self._client.get_model_repository_index(self._headers(), as_json=True, client_timeout=self._answer_seconds)
        )
        models = index.get("models", [])
        return {(model["name"], int(model["version"])) for model in models if model.get("state") == "READY"}

    async def pictures_drawn(self) -> dict[tuple[str, int], int]:
        """Return how many requests each loaded version has answered since it was loaded. Raises TritonRefused."""
        statistics = await _requested(
            self._client.get_inference_statistics(as_json=True, client_timeout=self._answer_seconds)
        )
        return {
            (model["name"], int(model["version"])): int(
                model.get("inference_stats", {}).get("success", {}).get("count", 0)
            )
            for model in statistics.get("model_stats", [])
        }

    async def canary(self, actor: Actor) -> str:
        """Draw one picture without a person; returns the precision that was used. Raises TritonRefused."""
        inputs = blank_inputs(actor)
        shape = inputs["PREVIOUS_FRAME"].shape
        result = await _requested(
            self._client.infer(
                actor.id,
                [_input(name, picture) for name, picture in inputs.items()],
                model_version=str(actor.version),
                outputs=[triton_grpc.InferRequestedOutput(name) for name in ("FRAME", "PRECISION")],
                client_timeout=self._canary_seconds,
            )
        )
        frame = result.as_numpy("FRAME")
        if frame is None or frame.shape != (1, *shape) or frame.dtype != np.uint8:
            raise TritonRefused(
                f"the canary of actor {actor.id!r} version {actor.version} did not return a picture of {shape}"
            )
        return bytes(result.as_numpy("PRECISION")[0, 0]).decode()


def connected(address: str, tls: ChannelTls | None) -> triton_grpc.InferenceServerClient:
    """Return Triton's own client, with our channel options. Raises BadSettings for the files of `tls`."""
    creds = None if tls is None else channel_credentials(tls)
    return triton_grpc.InferenceServerClient(
        address, ssl=creds is not None, creds=creds, channel_args=list(CHANNEL_OPTIONS)
    )


def _input(name: str, picture: Picture) -> Any:
    tensor = triton_grpc.InferInput(name, [1, *picture.shape], "UINT8")
    tensor.set_data_from_numpy(picture[None])
    return tensor


async def _requested(call: Any) -> Any:
    try:
        return await call
    except (InferenceServerException, grpc.RpcError) as error:
        message = error.message() if isinstance(error, InferenceServerException) else str(error)
        raise TritonRefused(str(message)) from error
