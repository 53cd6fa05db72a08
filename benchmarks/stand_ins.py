"""Stages that answer at once, to measure the pipeline alone: pose, generator, face and agent in one server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import grpc.aio
import numpy as np
from dance.v1 import agent_pb2, agent_pb2_grpc, face_pb2, face_pb2_grpc, pose_pb2, pose_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from motion import skeleton
from motion.pose import Pose
from serving.rpc import converters

_BODY: Final = (
    (0.5, 0.19), (0.5, 0.28), (0.41, 0.28), (0.38, 0.41), (0.36, 0.52), (0.59, 0.28), (0.62, 0.41), (0.64, 0.52),
    (0.5, 0.53), (0.45, 0.53), (0.45, 0.69), (0.45, 0.84), (0.55, 0.53), (0.55, 0.69), (0.55, 0.84), (0.48, 0.17),
    (0.52, 0.17), (0.47, 0.17), (0.53, 0.17), (0.56, 0.87), (0.58, 0.87), (0.55, 0.86), (0.44, 0.87), (0.42, 0.87),
    (0.45, 0.86),
)  # fmt: skip
"""A standing person, in fractions of a square."""

_STEP_PER_FRAME: Final = 0.1
"""Radians: the dancer sways, so no two frames are equal."""


def dancer(sequence: int, width_px: int, height_px: int, *, hands: bool = True) -> Pose:
    """Return a person in the middle of a frame of this size, who sways from frame to frame."""
    places = np.zeros((skeleton.JOINT_COUNT, 2))
    places[skeleton.BODY] = _BODY
    around = np.linspace(0, 2 * np.pi, skeleton.FACE_COUNT, endpoint=False)
    places[skeleton.FACE] = np.stack([0.5 + 0.05 * np.cos(around), 0.19 + 0.06 * np.sin(around)], axis=1)
    fan = np.stack([np.linspace(-0.03, 0.03, skeleton.HAND_COUNT), np.linspace(0, 0.06, skeleton.HAND_COUNT)], axis=1)
    places[skeleton.LEFT_HAND] = places[skeleton.L_WRIST] + fan
    places[skeleton.RIGHT_HAND] = places[skeleton.R_WRIST] + fan
    places[:, 0] += 0.08 * np.sin(_STEP_PER_FRAME * sequence)
    joints_px = places * height_px + [(width_px - height_px) / 2, 0]
    confidence = np.full(skeleton.JOINT_COUNT, 0.9, np.float32)
    if not hands:
        confidence[skeleton.LEFT_HAND] = confidence[skeleton.RIGHT_HAND] = 0
    return Pose(joints_px.astype(np.float32), confidence)


class StandInPose(pose_pb2_grpc.PoseServiceServicer):
    """Returns the dancer for every frame, without reading the frame."""

    async def Estimate(  # noqa: N802
        self, requests: AsyncIterator[pose_pb2.EstimateRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pose_pb2.EstimateResponse]:
        """See pose.proto."""
        async for request in requests:
            response = pose_pb2.EstimateResponse()
            if request.WhichOneof("request") == "config":
                response.accepted.CopyFrom(request.config)
            else:
                estimate, picture = response.estimate, request.frame.picture
                estimate.sequence = request.frame.sequence
                estimate.width_px, estimate.height_px = picture.width_px, picture.height_px
                pose = dancer(request.frame.sequence, picture.width_px, picture.height_px)
                converters.fill_pose(estimate.people.add(person_id=1).pose, pose)
            yield response


class StandInTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Returns the label map as the picture."""

    async def ModelInfer(  # noqa: N802
        self, request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        """See Triton's grpc_service.proto."""
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        response.outputs.add(name="FRAME", datatype="UINT8", shape=request.inputs[0].shape)
        response.outputs.add(name="COMPUTE_SECONDS", datatype="FP64", shape=[1, 1])
        response.raw_output_contents.extend([request.raw_input_contents[0], bytes(8)])
        return response


class StandInFace(face_pb2_grpc.FaceServiceServicer):
    """Returns the face unchanged."""

    async def Refine(  # noqa: N802
        self, request: face_pb2.RefineRequest, context: grpc.aio.ServicerContext
    ) -> face_pb2.RefineResponse:
        """See face.proto."""
        return face_pb2.RefineResponse(face=request.face, batch_size=1)


class StandInAgent(agent_pb2_grpc.GeneratorAgentServiceServicer):
    """Reports every actor as loaded."""

    async def EnsureActor(  # noqa: N802
        self, request: agent_pb2.EnsureActorRequest, context: grpc.aio.ServicerContext
    ) -> agent_pb2.EnsureActorResponse:
        """See agent.proto."""
        return agent_pb2.EnsureActorResponse(actor_version=request.actor_version, precision="none")


def add_stand_ins(server: grpc.aio.Server) -> None:
    """Add all four services to a server."""
    pose_pb2_grpc.add_PoseServiceServicer_to_server(StandInPose(), server)  # type: ignore[no-untyped-call]
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(StandInTriton(), server)
    face_pb2_grpc.add_FaceServiceServicer_to_server(StandInFace(), server)  # type: ignore[no-untyped-call]
    agent_pb2_grpc.add_GeneratorAgentServiceServicer_to_server(StandInAgent(), server)  # type: ignore[no-untyped-call]
