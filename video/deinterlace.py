"""Deinterlaces frames with FFmpeg's bwdif filter."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av.error
from av.filter import Graph


class Deinterlacer:
    """Passes frames through unchanged until the first interlaced frame, then through the filter.

    The filter leaves progressive frames unchanged, and takes the field order from each frame. It needs the following
    frame, so it delays frames by one; without interlaced frames there is no delay.

    seen: whether any frame was interlaced. Not thread-safe.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.seen = False
        self._time_base = time_base
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None

    def frames(self, frame: Any) -> Iterator[Any]:
        """Yield the frames that are ready after `frame`."""
        self.seen = self.seen or bool(frame.interlaced_frame)
        if not self.seen:
            yield frame
            return
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or kind != self._kind:
            yield from self.rest()
            self._graph, self._kind = self._started(frame), kind
        if frame.time_base is None:
            frame.time_base = self._time_base
        self._graph.vpush(frame)
        yield from self._ready()

    def rest(self) -> Iterator[Any]:
        """Yield the frames that are still in the filter after the last frame."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()
            self._graph = None

    def _started(self, frame: Any) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or self._time_base
        )
        graph.link_nodes(
            source, graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"), graph.add("buffersink")
        ).configure()
        return graph

    def _ready(self) -> Iterator[Any]:
        while self._graph is not None:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
