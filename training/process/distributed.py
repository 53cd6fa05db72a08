"""Several processes that train one actor together, each on its own part of every batch (data parallel).

torchrun starts them, on one machine or several, and describes them to each other in its environment. Gradients are
averaged between the backward pass and the optimizer's step, in buckets that are reduced concurrently. So every process
takes the same step, and their weights stay bit-identical. torch's DistributedDataParallel does not fit: it waits for
gradients from autograd, but on a CPU those of the weights come from a separate thread
(`training/networks/cpu_layers.py`). Only rank 0 writes and publishes; the others read prepared footage and checkpoints
from the same folders.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

_BUCKET_BYTES: Final = 32 * 2**20
_LONGEST_WAIT: Final = timedelta(days=2)
"""Long enough for the work of rank 0 alone: preparing hours of footage, downloading, scoring, publishing."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a training: this one's rank, and their number.

    control: a group over CPUs, for decisions and for long waits; None for a single process.
    """

    rank: int = 0
    count: int = 1
    control: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and prints messages."""
        return self.rank == 0

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in place. All pass the same tensors in the same order."""
        if self.count == 1:
            return
        buckets = list(_buckets(tensors))
        flats = [torch.cat([tensor.reshape(-1) for tensor in bucket]) for bucket in buckets]
        works = [dist.all_reduce(flat, async_op=True) for flat in flats]
        for work, flat, bucket in zip(works, flats, buckets, strict=True):
            work.wait()
            flat /= self.count
            for tensor, part in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def agreed(self, values: Sequence[float]) -> list[float]:
        """The largest of each value over all processes: for clocks, and for whether any process should stop."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean of each value over all processes, for display."""
        return [value / self.count for value in self._reduced(values, dist.ReduceOp.SUM)]

    def _reduced(self, values: Sequence[float], operation: Any) -> list[float]:
        reduced = torch.tensor(values, dtype=torch.float64)
        if self.count > 1:
            dist.all_reduce(reduced, operation, group=self.control)
        return [float(value) for value in reduced]

    def wait(self) -> None:
        """Wait until every process arrives. Raises RuntimeError if one of them has ended."""
        if self.count > 1:
            dist.barrier(group=self.control)

    def told_by_first(self, value: T) -> T:
        """Send rank 0's value to every process, and return it. Processes of one training trust each other."""
        if self.count == 1:
            return value
        shared = [value]
        dist.broadcast_object_list(shared, src=0, group=self.control)
        return shared[0]

    def first_first(self, work: Callable[[], T]) -> T:
        """Do `work` and return its result; rank 0 does it first, so that the others find its files."""
        if not self.is_first:
            self.wait()
        result = work()
        if self.is_first:
            self.wait()
        return result


ALONE: Final = Ranks()


def is_first_process() -> bool:
    """Whether this process prints messages; known before the processes have joined."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started together with this one; yields `ALONE` without torchrun.

    device: "cpu" communicates through gloo, "cuda" through NCCL, with each process on the GPU of its local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_LONGEST_WAIT)
    try:
        control = dist.new_group(backend="gloo", timeout=_LONGEST_WAIT)
        yield Ranks(dist.get_rank(), dist.get_world_size(), control)
    finally:
        dist.destroy_process_group()


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.nbytes > _BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket
