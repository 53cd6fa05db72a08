"""Inference on an NVIDIA GPU: torch, bf16 autocast, channels_last, one CUDA graph per size of batch and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from motion.frame import Picture
from serving.errors import ActorUnusable
from serving.inference.batch_sizes import BATCH_SIZES
from serving.inference.precision import Precision


@dataclass(frozen=True)
class _CapturedGraph:
    """A recorded run; inputs are copied into the tensors that it was recorded with."""

    graph: torch.cuda.CUDAGraph
    inputs_NHWC: tuple[Tensor, ...]
    outputs_NHWC: tuple[Tensor, ...]


_Shapes = tuple[tuple[int, ...], ...]
"""The shape of each input picture."""


class TorchEngine:
    """Runs `module`, which turns `[N, H, W, C]` uint8 tensors, one for each input, into one or a tuple of them.

    Not thread-safe.
    """

    def __init__(self, module: nn.Module, *, precision: Precision = "auto") -> None:
        if not torch.cuda.is_available():
            raise ActorUnusable("inference on a GPU was requested, but torch finds no CUDA device")
        self.precision = "f32" if precision == "f32" else "bf16"
        self._module = module.eval().to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._graphs: dict[tuple[int, _Shapes], _CapturedGraph] = {}

    def run(self, *pictures: Picture) -> Picture:
        """See `PictureEngine.run`."""
        return self.run_batch([pictures])[0]

    def run_batch(self, items: Sequence[Sequence[Picture]]) -> list[Picture]:
        """See `PictureEngine.run_batch`. Up to eight items are one launch; a size's first call records its graphs."""
        return [picture for (picture,) in self._run(items, outputs=1)]

    def run_all(self, items: Sequence[Sequence[Picture]]) -> list[tuple[Picture, ...]]:
        """See `PictureEngine.run_all`. All outputs are computed in any case; here they are copied from the GPU too."""
        return self._run(items, outputs=None)

    @torch.inference_mode()
    def _run(self, items: Sequence[Sequence[Picture]], outputs: int | None) -> list[tuple[Picture, ...]]:
        if len(items) > BATCH_SIZES[-1]:
            rest = items[BATCH_SIZES[-1] :]
            return self._run(items[: BATCH_SIZES[-1]], outputs) + self._run(rest, outputs)
        shapes = tuple(picture.shape for picture in items[0])
        if (1, shapes) not in self._graphs:
            # Record all batch sizes at once, at the warm-up: a recording in mid-stream would stall every session.
            for count in BATCH_SIZES:
                self._graphs[count, shapes] = self._capture(count, shapes)
        padded = next(count for count in BATCH_SIZES if count >= len(items))
        captured = self._graphs[padded, shapes]
        for input_NHWC, pictures in zip(captured.inputs_NHWC, zip(*items, strict=True), strict=True):
            input_NHWC[: len(items)].copy_(torch.from_numpy(np.stack(pictures)))
        captured.graph.replay()
        drawn = [output_NHWC[: len(items)].cpu().numpy() for output_NHWC in captured.outputs_NHWC[:outputs]]
        return list(zip(*drawn, strict=True))

    def _forward(self, *inputs_NHWC: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            outputs_NHWC: Tensor | tuple[Tensor, ...] = self._module(*inputs_NHWC)
        return (outputs_NHWC,) if isinstance(outputs_NHWC, Tensor) else outputs_NHWC

    def _capture(self, count: int, shapes: _Shapes) -> _CapturedGraph:
        inputs_NHWC = tuple(torch.full((count, *shape), 128, dtype=torch.uint8, device="cuda") for shape in shapes)
        # In its first runs cuDNN chooses algorithms and allocates memory, which must not be recorded.
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(3):
                self._forward(*inputs_NHWC)
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs_NHWC = self._forward(*inputs_NHWC)
        return _CapturedGraph(graph, inputs_NHWC, outputs_NHWC)
