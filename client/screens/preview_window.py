"""The preview window of live sessions."""

from __future__ import annotations

import os
import sys
from typing import Final

import cv2

from motion.frame import Picture

_TITLE: Final = "dance"
_KEYS_THAT_END: Final = frozenset({27, ord("q")})


def display_exists() -> bool:
    """Whether a window can be opened."""
    # These variables belong to the window system, so `serving.process.settings` does not cover them.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class PreviewWindow:
    """A window that shows pictures. Use it from the main thread only; window systems require it."""

    def __init__(self) -> None:
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, picture: Picture) -> bool:
        """Show `[H, W, 3]` uint8 RGB. Returns False once the user closed the window or pressed q or Esc."""
        cv2.imshow(_TITLE, picture[..., ::-1])
        key = cv2.waitKey(1) & 0xFF
        return key not in _KEYS_THAT_END and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(_TITLE)
