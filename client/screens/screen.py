"""`Screen`: shows the pictures of a live session."""

from __future__ import annotations

from typing import Protocol

from motion.frame import Picture


class Screen(Protocol):
    """Shows the newest picture. `show` is called from the main thread, returns at once and keeps the picture as is."""

    def show(self, picture: Picture) -> bool:
        """Show `[H, W, 3]` uint8 RGB. Returns False if the user wants the session to end. Raises CommandError."""
        ...

    def close(self) -> None:
        """Show nothing more; a second call does nothing."""
        ...
