"""The choices of arithmetic and device for inference."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "bf16", "f32"]
Device = Literal["cpu", "gpu"]
