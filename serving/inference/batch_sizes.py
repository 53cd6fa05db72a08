"""The batches that a GPU's engine is prepared for."""

from __future__ import annotations

from typing import Final

BATCH_SIZES: Final = (1, 2, 4, 8)
"""The engine pads other batches to the next one. 8 is the contract's `max_batch_size`."""
