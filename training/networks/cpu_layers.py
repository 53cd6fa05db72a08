"""Faster versions of three layers for training on a CPU.

PyTorch's layers have these problems, measured with the slim generator at 256x256 in bf16 on two cores with AMX.
Reflection padding is slow on channels-last pictures, above all in the backward pass. Instance norm copies them into
another layout and back (together 375 ms forward and backward, 175 ms with these layers). In oneDNN's gradient of a
convolution's weights the threads spin for each other, so it takes ten times as long next to any other busy process;
here a second thread computes that gradient by itself while the first continues the backward pass. In float32 on a CPU
with only AVX2, that gradient alone is slow on channels-last pictures, so it works on copies (3x3, 64 to 32 channels at
256x256: 224 ms of a core with channels last, 56 ms without). Weights and their names stay the same.
"""

# Shapes: B batch, C channels, H and W pixels.
from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from threading import Barrier
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def single_threaded_pool(count: int, name: str) -> ThreadPoolExecutor:
    """Start `count` threads, in each of which torch computes without helper threads."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, name, initializer=torch.set_num_threads, initargs=(1,))
    # Each waits for the others, so all of them have started.
    together = Barrier(count)
    for future in [pool.submit(together.wait) for _ in range(count)]:
        future.result()
    # The initializer set the default of the whole process too.
    torch.set_num_threads(threads)
    return pool


@cache
def _gradient_thread() -> ThreadPoolExecutor:
    return single_threaded_pool(1, "weight-gradients")


_submitted: list[Future[None]] | None = None
"""The gradients being computed within `weight_gradients_aside`; None outside it."""


@contextmanager
def weight_gradients_aside() -> Iterator[None]:
    """Compute weight gradients of `FastConv2d` in a second thread, in order, and add them where autograd would.

    On exit all of them are in the weights' `grad`. Raises an error that occurred in that thread.
    """
    global _submitted
    submitted: list[Future[None]] = []
    _submitted = submitted
    try:
        yield
    finally:
        _submitted = None
        wait(submitted)
    for future in submitted:
        future.result()


@torch.no_grad()
def _add_weight_gradients(conv: FastConv2d, x_BCHW: Tensor, weight: Tensor, gradient_BCHW: Tensor) -> None:
    wanted = [False, True, conv.bias is not None]
    if x_BCHW.dtype == torch.float32:
        # Without bf16 this gradient, and it alone, takes two to four times as long on channels-last pictures.
        x_BCHW, weight, gradient_BCHW = x_BCHW.contiguous(), weight.contiguous(), gradient_BCHW.contiguous()
    _, of_weight, of_bias = conv.gradients(x_BCHW, weight, gradient_BCHW, wanted)
    _add_gradient(conv.weight, of_weight)
    if conv.bias is not None:
        _add_gradient(conv.bias, of_bias)


def _add_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    if parameter.grad is None:
        # In the weight's own layout: the fused Adam reads both in memory order.
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    else:
        parameter.grad += gradient


class _Convolution(torch.autograd.Function):
    """A convolution that adds the gradient of its weights itself, within `weight_gradients_aside` in another thread."""

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight: nn.Parameter, conv: FastConv2d) -> Tensor:
        low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype
        ctx.input_dtype, ctx.conv = x_BCHW.dtype, conv
        x_BCHW = x_BCHW.to(low, memory_format=torch.channels_last)
        weight_low = weight.detach().to(low, memory_format=torch.channels_last)
        bias = None if conv.bias is None else conv.bias.to(low)
        ctx.save_for_backward(x_BCHW, weight_low)
        return torch.conv2d(x_BCHW, weight_low, bias, conv.stride, conv.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None]:
        x_BCHW, weight = ctx.saved_tensors
        gradient_BCHW = gradients[0].contiguous(memory_format=torch.channels_last)
        if ctx.needs_input_grad[1]:
            if _submitted is None:
                _add_weight_gradients(ctx.conv, x_BCHW, weight, gradient_BCHW)
            else:
                thread = _gradient_thread()
                _submitted.append(thread.submit(_add_weight_gradients, ctx.conv, x_BCHW, weight, gradient_BCHW))
        if not ctx.needs_input_grad[0]:
            return None, None, None
        of_input, _, _ = ctx.conv.gradients(x_BCHW, weight, gradient_BCHW, [True, False, False])
        return of_input.to(ctx.input_dtype), None, None


class FastConv2d(nn.Module):
    """`nn.Conv2d` with zero padding, no dilation, no groups."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = cast(nn.Parameter, conv.weight)
        self.bias = cast(nn.Parameter | None, conv.bias)
        self.stride, self.padding = list(conv.stride), [int(side) for side in conv.padding]
        self.out_channels = conv.out_channels

    def forward(self, x_BCHW: Tensor) -> Tensor:
        convolved_BCHW: Tensor = _Convolution.apply(x_BCHW, self.weight, self)  # type: ignore[no-untyped-call]
        return convolved_BCHW

    def gradients(self, x_BCHW: Tensor, weight: Tensor, gradient_BCHW: Tensor, wanted: list[bool]) -> Any:
        """Gradients of input, weight and bias; None for those not wanted."""
        return torch.ops.aten.convolution_backward(
            gradient_BCHW,
            x_BCHW,
            weight,
            [self.out_channels],
            self.stride,
            self.padding,
            [1, 1],
            False,
            [0, 0],
            1,
            wanted,
        )


class _ReflectionPad(torch.autograd.Function):
    """Copies the border; the gradient folds the border back, rows first, then columns."""

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, padding: int) -> Tensor:
        ctx.padding = p = padding
        batch, channels, height, width = x_BCHW.shape
        y_BCHW = x_BCHW.new_empty(batch, height + 2 * p, width + 2 * p, channels).permute(0, 3, 1, 2)
        y_BCHW[:, :, p:-p, p:-p] = x_BCHW
        for i in range(1, p + 1):
            y_BCHW[:, :, p:-p, p - i] = x_BCHW[..., i]
            y_BCHW[:, :, p:-p, p + width - 1 + i] = x_BCHW[..., width - 1 - i]
        for i in range(1, p + 1):
            y_BCHW[:, :, p - i] = y_BCHW[:, :, p + i]
            y_BCHW[:, :, p + height - 1 + i] = y_BCHW[:, :, p + height - 1 - i]
        return y_BCHW

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        p, (g_BCHW,) = ctx.padding, gradients
        height, width = g_BCHW.shape[2] - 2 * p, g_BCHW.shape[3] - 2 * p
        rows_BCHW = g_BCHW[:, :, p:-p].clone(memory_format=torch.channels_last)
        for i in range(1, p + 1):
            rows_BCHW[:, :, i] += g_BCHW[:, :, p - i]
            rows_BCHW[:, :, height - 1 - i] += g_BCHW[:, :, p + height - 1 + i]
        folded_BCHW = rows_BCHW[:, :, :, p:-p]
        for i in range(1, p + 1):
            folded_BCHW[..., i] += rows_BCHW[..., p - i]
            folded_BCHW[..., width - 1 - i] += rows_BCHW[..., p + width - 1 + i]
        return folded_BCHW.contiguous(memory_format=torch.channels_last), None


class FastReflectionPad2d(nn.Module):
    """`nn.ReflectionPad2d` of equal width on all sides, channels last."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x_BCHW: Tensor) -> Tensor:
        padded_BCHW: Tensor = _ReflectionPad.apply(x_BCHW, self.padding)  # type: ignore[no-untyped-call]
        return padded_BCHW


class FastInstanceNorm2d(nn.Module):
    """`nn.InstanceNorm2d` without affine parameters: for one picture it equals batch norm, which keeps the layout."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        pictures = [F.batch_norm(x_1CHW, None, None, training=True) for x_1CHW in torch.split(x_BCHW, 1)]
        return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


def accelerate(module: nn.Module) -> None:
    """Replace the three layers everywhere inside `module`, in place; for training on a CPU, not for export."""

    for name, child in module.named_children():
        if isinstance(child, nn.ReflectionPad2d):
            setattr(module, name, FastReflectionPad2d(child.padding[0]))
        elif isinstance(child, nn.InstanceNorm2d):
            setattr(module, name, FastInstanceNorm2d())
        elif isinstance(child, nn.Conv2d):
            setattr(module, name, FastConv2d(child))
        else:
            accelerate(child)
