"""The virtual camera, with a module in place of pyvirtualcam that records what it is sent."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from client.errors import CommandError
from client.screens.virtual_camera import VirtualCamera, fitted


class Device:
    """One opened camera; `made` has all of them."""

    made: list[Device]
    failure: str = ""
    second: threading.Event

    def __init__(self, *, width: int, height: int, fps: float) -> None:
        if self.failure:
            raise RuntimeError(self.failure)
        self.width, self.height, self.device = width, height, "/dev/video9"
        self.sent: list[np.ndarray] = []
        self.open = True
        self.taken, self.closed = threading.Event(), threading.Event()
        self.breaks = False
        self.made.append(self)
        if len(self.made) == 2:
            self.second.set()

    def send(self, picture: np.ndarray) -> None:
        if self.breaks:
            raise OSError("the device is gone")
        assert self.open
        assert picture.flags.c_contiguous
        assert picture.shape == (self.height, self.width, 3)
        self.sent.append(picture)
        self.taken.set()

    def close(self) -> None:
        self.open = False
        self.closed.set()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    class Recording(Device):
        made: list[Device] = []  # noqa: RUF012  one list a test
        second = threading.Event()

    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=Recording))
    return Recording


def picture(level: int, height_px: int = 48, width_px: int = 64) -> Any:
    return np.full((height_px, width_px, 3), level, np.uint8)


def test_the_camera_has_the_size_of_the_pictures(device):
    """The device is opened with the first picture's size, made even; the last picture is sent before it is closed."""
    camera = VirtualCamera()
    assert camera.device == "/dev/video9"
    assert camera.show(picture(10, 47, 63))
    camera.close()
    probe, shown = device.made
    assert not probe.open
    assert not shown.open
    assert (shown.width, shown.height) == (64, 48)
    assert [int(sent[-1, -1, 0]) for sent in shown.sent] == [10]
    camera.close()


def test_other_sizes_are_fitted_on_black(device):
    """A picture of another size keeps its aspect ratio."""
    camera = VirtualCamera()
    camera.show(picture(200))
    shown = _opened(device)
    camera.show(picture(100, 100, 100))
    camera.close()
    last = shown.sent[-1]
    assert (last[:, :8] == 0).all()
    assert (last[:, 8:56] == 100).all()
    assert (last[:, 56:] == 0).all()


def _opened(device: type[Device]) -> Device:
    """The second camera, once the thread has opened it."""
    assert device.second.wait(10)
    assert device.made[1].taken.wait(10)
    return device.made[1]


def test_a_picture_that_fits_is_unchanged():
    """The usual case is a copy at most."""
    even = picture(3)
    assert np.array_equal(fitted(even, 64, 48), even)


def test_a_device_that_fails_ends_the_session(device):
    """The next picture raises the error, in one line."""
    camera = VirtualCamera()
    camera.show(picture(1))
    broken = _opened(device)
    broken.breaks = True
    camera.show(picture(2))
    assert broken.closed.wait(10)
    with pytest.raises(CommandError, match=r"the virtual camera /dev/video9 failed: the device is gone"):
        camera.show(picture(3))
    camera.close()


def test_without_the_library_it_is_said(monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(CommandError, match=r"needs pyvirtualcam; install it .*\[camera\]"):
        VirtualCamera()


@pytest.mark.parametrize(
    ("system", "advice"), [("Linux", "v4l2loopback"), ("Darwin", "OBS"), ("Windows", "OBS"), ("Plan9", "supports none")]
)
def test_without_a_device_it_is_said(device, monkeypatch, system, advice):
    """The message has the library's reason on one line, and what to do on this system."""
    monkeypatch.setattr("platform.system", lambda: system)
    device.failure = "'v4l2loopback' backend:\n no device"
    with pytest.raises(CommandError, match=rf"\('v4l2loopback' backend: no device\); .*{advice}"):
        VirtualCamera()
