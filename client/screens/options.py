"""The options of `dance transfer --live` that choose screens beside the window."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from client.screens.picture_stream import STREAM_PATH, PictureStream, parsed_screen_address
from client.screens.screen import Screen
from client.screens.virtual_camera import VirtualCamera
from client.terminal.display import Display

_FROM_FIRST: Final = "once the actor dances"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenOptions:
    """Screens beside the window."""

    mjpeg: Annotated[
        str | None,
        typer.Option(
            "--mjpeg",
            metavar="[HOST]:PORT",
            help="With --live: serve the shown picture to OBS, players and browsers, at http://127.0.0.1:PORT unless "
            "HOST says otherwise.",
        ),
    ] = None
    virtual_camera: Annotated[
        bool,
        typer.Option(
            "--virtual-camera", help="With --live: show the picture on a virtual camera, for meetings; needs [camera]."
        ),
    ] = False

    @property
    def names(self) -> list[str]:
        """The options that are given."""
        given = {"--mjpeg": self.mjpeg is not None, "--virtual-camera": self.virtual_camera}
        return [name for name, is_given in given.items() if is_given]

    def opened(self, closing: ExitStack, display: Display) -> tuple[Screen, ...]:
        """Open the screens until `closing` ends. Raises UsageError, and CommandError for a screen that is not there."""
        screens: list[Screen] = []
        if self.mjpeg is not None:
            stream = PictureStream(*parsed_screen_address(self.mjpeg))
            closing.callback(stream.close)
            screens.append(stream)
            elsewhere = f", and on port {stream.port} of all addresses of this machine" if stream.is_everywhere else ""
            display.note(f"the pictures will be at {stream.address}{STREAM_PATH}{elsewhere}, {_FROM_FIRST}")
            if stream.is_public:
                reached = f"port {stream.port} of this machine" if stream.is_everywhere else stream.address
                display.warn(f"everybody who can reach {reached} can watch: there is no password")
        if self.virtual_camera:
            camera = VirtualCamera()
            closing.callback(camera.close)
            screens.append(camera)
            display.note(f"the pictures will be on the virtual camera {camera.device}, {_FROM_FIRST}")
        return tuple(screens)
