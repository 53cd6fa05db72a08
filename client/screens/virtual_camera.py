"""A virtual camera, which meetings and OBS list among the cameras. pyvirtualcam provides it."""

from __future__ import annotations

import platform
import threading
from importlib import import_module
from typing import Any, Final

import cv2
import numpy as np

from client.errors import CommandError
from motion.frame import Picture

_PROBE_PX: Final = (640, 480)
_RATE_HZ: Final = 30.0
"""A hint for the device; pictures are sent as they come."""
_ADVICE: Final = {
    "Linux": "load the kernel module v4l2loopback, for example with: "
    "sudo modprobe v4l2loopback exclusive_caps=1 card_label=dance",
    "Darwin": "install OBS 30 or newer, and start and stop its virtual camera once",
    "Windows": "install OBS, which brings a virtual camera",
}


class VirtualCamera:
    """Shows pictures on this machine's first free virtual camera. It has the size of the first picture.

    Later pictures of another size are fitted into it, on black. Odd sizes are made even. A thread sends the newest
    picture, so that a slow device does not delay the session.

    device: its name. Raises CommandError without pyvirtualcam and without a virtual camera.
    """

    def __init__(self) -> None:
        try:
            self._library: Any = import_module("pyvirtualcam")
        except ImportError as error:
            raise CommandError(
                "--virtual-camera needs pyvirtualcam; install it in a checkout with: pip install -e '.[camera]'"
            ) from error
        # Its size is known with the first picture; whether there is a device should be known before the session.
        probe = self._opened(*_PROBE_PX)
        self.device = str(probe.device)
        probe.close()
        self._changed = threading.Condition()
        self._newest: Picture | None = None
        self._failure: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._send_all, name="virtual camera", daemon=True)
        self._thread.start()

    def show(self, picture: Picture) -> bool:
        """See `Screen.show`. Raises CommandError if the device no longer takes pictures."""
        with self._changed:
            if self._failure is not None:
                raise CommandError(f"the virtual camera {self.device} failed: {self._failure}") from self._failure
            self._newest = picture
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Release the device after the newest picture; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _opened(self, width_px: int, height_px: int) -> Any:
        try:
            return self._library.Camera(width=width_px, height=height_px, fps=_RATE_HZ)
        except (RuntimeError, OSError, ValueError) as error:
            system = platform.system()
            advice = _ADVICE.get(system, f"pyvirtualcam supports none on {system}")
            reason = " ".join(str(error).split())
            raise CommandError(f"--virtual-camera: no virtual camera can be opened ({reason}); {advice}") from error

    def _send_all(self) -> None:
        camera = None
        try:
            while (picture := self._next()) is not None:
                if camera is None:
                    height_px, width_px = (side_px + side_px % 2 for side_px in picture.shape[:2])
                    camera = self._opened(width_px, height_px)
                camera.send(fitted(picture, camera.width, camera.height))
        except Exception as error:  # `show` raises it
            with self._changed:
                self._failure = error
        finally:
            if camera is not None:
                camera.close()

    def _next(self) -> Picture | None:
        """Wait for a picture that was not sent yet; None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newest is not None)
            newest, self._newest = self._newest, None
            return newest


def fitted(picture: Picture, width_px: int, height_px: int) -> Picture:
    """Return `picture` as `[height_px, width_px, 3]`, contiguous: one pixel is repeated, other sizes are on black."""
    missing_y_px, missing_x_px = height_px - picture.shape[0], width_px - picture.shape[1]
    if 0 <= missing_y_px <= 1 and 0 <= missing_x_px <= 1:
        padded = np.pad(picture, ((0, missing_y_px), (0, missing_x_px), (0, 0)), mode="edge")
        return np.ascontiguousarray(padded)
    scale = min(width_px / picture.shape[1], height_px / picture.shape[0])
    size = (min(width_px, round(picture.shape[1] * scale)), min(height_px, round(picture.shape[0] * scale)))
    inside = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    whole = np.zeros((height_px, width_px, 3), np.uint8)
    top_px, left_px = (height_px - size[1]) // 2, (width_px - size[0]) // 2
    whole[top_px : top_px + size[1], left_px : left_px + size[0]] = inside
    return whole
