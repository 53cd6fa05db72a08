"""The painters of one actor, one for each size of picture: smaller ones are opened when they are first needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Final

from motion.frame import FrameSize
from services.generator.actor_network import Painter
from serving.actors.sizes import picture_sizes
from serving.actors.store import Actor
from serving.errors import ActorUnusable, DanceError

_THREAD: Final = "compile"


class SizeNotReady(DanceError):
    """The network for pictures of a size is being compiled. Ask again."""


class SizedPainters:
    """Opens the actor's own size at once, and others in a thread when they are first asked for.

    A network for another size takes about a second to compile, and memory: so it is compiled only if a session wants
    it, and no request waits for it in the meantime.

    opener: opens the painter of a size; None stands for the actor's own. at_once: open every size now, for a GPU: it
    records CUDA graphs, which must not happen while it draws. Raises what `opener` raises.
    """

    def __init__(self, actor: Actor, opener: Callable[[FrameSize | None], Painter], *, at_once: bool = False) -> None:
        self._opener = opener
        self._sizes = picture_sizes(actor)
        self.own = opener(None)
        self._others: dict[FrameSize, Future[Painter]] = {}
        if at_once:
            for size in self._sizes[1:]:
                self._others[size] = Future()
                self._others[size].set_result(opener(size))

    def of(self, width_px: int, height_px: int) -> Painter:
        """Return the painter of a size; for one at which the actor cannot be drawn, the own one, which refuses it.

        Raises SizeNotReady, and ActorUnusable if the network cannot be compiled for this size.
        """
        smaller = {(size.width_px, size.height_px): size for size in self._sizes[1:]}
        size = smaller.get((width_px, height_px))
        if size is None:
            return self.own
        opening = self._others.get(size)
        if opening is None:
            self._others[size] = Future()
            Thread(target=self._open, args=(size,), name=_THREAD, daemon=True).start()
        if opening is None or not opening.done():
            raise SizeNotReady(f"the network for {size.width_px}x{size.height_px} is being compiled; ask again")
        return opening.result()

    def opening(self, size: FrameSize) -> Future[Painter]:
        """Return the painter of a smaller size that was asked for, once it is open."""
        return self._others[size]

    def _open(self, size: FrameSize) -> None:
        try:
            self._others[size].set_result(self._opener(size))
        except DanceError as error:  # raised where the size is asked for
            self._others[size].set_exception(error)
        except Exception as error:  # of a library, for example without memory; other sizes must not fail with it
            what = f"the network for {size.width_px}x{size.height_px}"
            reason = str(error) or type(error).__name__
            self._others[size].set_exception(ActorUnusable(f"{what} cannot be compiled: {reason}"))
