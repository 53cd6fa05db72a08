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
    """Whether there is a screen to open a window on."""
    # The display server is not ours to configure, so this is no setting of `serving.process.settings`.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class PreviewWindow:
    """A window that shows pictures. Must be used by the main thread alone, as window systems ask."""

    def __init__(self) -> None:
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, picture: Picture) -> bool:
        """Shows `[H, W, 3]` uint8 RGB; False once the user closed the window or pressed q or Esc."""
        cv2.imshow(_TITLE, picture[..., ::-1])
        key = cv2.waitKey(1) & 0xFF
        return key not in _KEYS_THAT_END and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyWindow(_TITLE)
