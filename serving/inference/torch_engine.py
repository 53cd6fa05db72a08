"""Inference on an NVIDIA GPU: torch, bf16 autocast, channels_last, one CUDA graph per size of batch and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from motion.frame import Picture
from serving.errors import ActorUnusable
from serving.inference.precision import Precision


@dataclass(frozen=True)
class _CapturedGraph:
    """A recorded run; inputs are copied into the tensors that it was recorded with."""

    graph: torch.cuda.CUDAGraph
    first_NHWC: Tensor
    second_NHWC: Tensor
    result_NHWC: Tensor


BATCH_SIZES = (1, 2, 4, 8)
"""Recorded batch sizes; other batches are padded to the next one. 8 is the contract's `max_batch_size`."""


class TorchEngine:
    """Runs `module`, which turns two `[N, H, W, 3]` uint8 tensors into one. Not thread-safe."""

    def __init__(self, module: nn.Module, *, precision: Precision = "auto") -> None:
        if not torch.cuda.is_available():
            raise ActorUnusable("inference on a GPU was requested, but torch finds no CUDA device")
        self.precision = "f32" if precision == "f32" else "bf16"
        self._module = module.eval().to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._graphs: dict[tuple[int, int, int], _CapturedGraph] = {}

    def run(self, first: Picture, second: Picture) -> Picture:
        """See `PictureEngine.run`."""
        return self.run_batch([(first, second)])[0]

    @torch.inference_mode()
    def run_batch(self, pairs: Sequence[tuple[Picture, Picture]]) -> list[Picture]:
        """See `PictureEngine.run_batch`. Up to eight pairs are one launch; a size's first call records its graphs."""
        if len(pairs) > BATCH_SIZES[-1]:
            rest = pairs[BATCH_SIZES[-1] :]
            return self.run_batch(pairs[: BATCH_SIZES[-1]]) + self.run_batch(rest)
        height_px, width_px = pairs[0][0].shape[:2]
        if (1, height_px, width_px) not in self._graphs:
            # Record all batch sizes at once, at the warm-up: a recording in mid-stream would stall every session.
            for count in BATCH_SIZES:
                self._graphs[count, height_px, width_px] = self._capture(count, height_px, width_px)
        padded = next(count for count in BATCH_SIZES if count >= len(pairs))
        captured = self._graphs[padded, height_px, width_px]
        captured.first_NHWC[: len(pairs)].copy_(torch.from_numpy(np.stack([first for first, _ in pairs])))
        captured.second_NHWC[: len(pairs)].copy_(torch.from_numpy(np.stack([second for _, second in pairs])))
        captured.graph.replay()
        return list(captured.result_NHWC[: len(pairs)].cpu().numpy())

    def _forward(self, first_NHWC: Tensor, second_NHWC: Tensor) -> Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            result_NHWC: Tensor = self._module(first_NHWC, second_NHWC)
        return result_NHWC

    def _capture(self, count: int, height_px: int, width_px: int) -> _CapturedGraph:
        first_NHWC, second_NHWC = (
            torch.full((count, height_px, width_px, 3), 128, dtype=torch.uint8, device="cuda") for _ in range(2)
        )
        # In its first runs cuDNN chooses algorithms and allocates memory, which must not be recorded.
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(3):
                self._forward(first_NHWC, second_NHWC)
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result_NHWC = self._forward(first_NHWC, second_NHWC)
        return _CapturedGraph(graph, first_NHWC, second_NHWC, result_NHWC)
