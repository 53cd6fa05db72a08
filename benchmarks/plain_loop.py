"""The baseline of the pipeline: the same models, called one after another in one process, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.cases import Clip
from motion.body import BodyStats
from motion.face_region import cut_face, face_region, paste_face
from motion.frame import Frame, FrameSize, Picture, PictureEncoding
from motion.labelmap import draw_label_map
from motion.pose_choice import PoseDetail
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from services.generator.network import served_generator
from services.normalize.normalizer import Normalizer, NormalizerConfig, PoseFrame
from services.pose.backends import mediapipe_estimator
from serving.actors.store import Actor
from serving.inference.engine import open_engine
from serving.pictures.codec import decode_picture, encode_picture

Draw = Callable[..., Picture]
"""A network's input pictures in, one picture out."""
Networks = tuple[Draw, Draw | None]
"""The generator and the face network, if the actor has one."""

THREADS = 2


def served_networks(actor: Actor) -> Networks:
    """Return generator and face network as served, but called in this process."""
    return open_engine(actor.generator_path, threads=THREADS, inputs=actor.generator.inputs).run, _served_face(actor)


def eager_networks(actor: Actor) -> Networks:
    """Return the generator in eager float32 PyTorch, as the published code runs it, and the face network as served."""
    return eager(served_generator(actor.generator_path, actor.generator.padding)), _served_face(actor)


def _served_face(actor: Actor) -> Draw | None:
    return None if actor.face is None else open_engine(actor.face_path, threads=THREADS).run


def eager(module: torch.nn.Module) -> Draw:
    """Return a function that draws one picture at a time with a torch module."""
    module.eval()

    def draw(*pictures: Picture) -> Picture:
        with torch.inference_mode():
            drawn = module(*(torch.from_numpy(np.array(picture))[None] for picture in pictures))
            pixels: Picture = (drawn[0] if isinstance(drawn, tuple) else drawn)[0].numpy()
        return pixels

    return draw


class PlainLoop:
    """Pose, normalisation, label map, reference, generator, face and encoding of one frame after another."""

    def __init__(self, actor: Actor, body: BodyStats, frame_rate_hz: float, networks: Networks) -> None:
        self._actor = actor
        self._draw, self._refine = networks
        self._wardrobe = None if actor.wardrobe is None else actor.read_wardrobe()
        self._limbs: Choice | None = None
        self._normalizer = Normalizer(
            NormalizerConfig(
                target_body=actor.body, target_size=actor.frame_size, source_body=body, frame_rate_hz=frame_rate_hz
            )
        )
        self._estimator = mediapipe_estimator(PoseDetail.HOLISTIC)
        crop = actor.crop
        self._previous: Picture = np.full((crop.out_height_px, crop.out_width_px, 3), 128, np.uint8)

    def frame(self, frame: Frame) -> bytes:
        """Return the answer's JPEG; empty if the frame shows no person."""
        pixels = decode_picture(frame.picture)
        pose = self._estimator.estimate(pixels).dancer
        size = FrameSize(pixels.shape[1], pixels.shape[0])
        (normalized,) = self._normalizer.push(PoseFrame(frame.sequence, size, pose))
        if normalized.pose is None:
            return b""
        crop = self._actor.crop
        posed = crop.to_crop(normalized.pose)
        label_map = draw_label_map(posed, crop.out_width_px, crop.out_height_px)
        inputs = [label_map, self._previous]
        if self._wardrobe is not None:
            reference = draw_reference(self._wardrobe, posed, self._limbs)
            self._limbs = reference.choice
            inputs.append(reference.picture)
        drawn = self._previous = self._draw(*inputs)
        region = face_region(posed, self._actor.face_rule, crop.out_width_px, crop.out_height_px)
        if self._refine is not None and region is not None:
            crop_px = self._actor.face_rule.crop_px
            face = self._refine(cut_face(label_map, region, crop_px), cut_face(drawn, region, crop_px))
            drawn = paste_face(drawn, face, region)
        return encode_picture(drawn, PictureEncoding.JPEG, 95).data

    def close(self) -> None:
        """Close the tracker."""
        self._estimator.close()


def frames_per_second(
    actor: Actor, clip: Clip, body: BodyStats, networks: Networks, frames: Sequence[Frame], warm_up: int
) -> float:
    """Return the loop's rate over `frames`, without the first `warm_up` frames."""
    loop = PlainLoop(actor, body, clip.frame_rate_hz, networks)
    try:
        for frame in frames[:warm_up]:
            loop.frame(frame)
        started = time.perf_counter()
        for frame in frames[warm_up:]:
            loop.frame(frame)
        return (len(frames) - warm_up) / (time.perf_counter() - started)
    finally:
        loop.close()
