"""Visits of a page with Chromium, which fail their test if the page reports an error or contacts another host."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

Prepare = Callable[[BrowserContext], Awaitable[None]]

CHROMIUM: Final = Path("/usr/bin/chromium")
_ARGUMENTS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
)
_NO_HOST: Final = ("blob", "data", "about", "chrome-error")


class Browsers:
    """Chromium, headless, once for each fake camera that tests use."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._running: dict[tuple[str, ...], Browser] = {}

    async def with_camera(self, camera: Path | None, *more_arguments: str, allowed: bool = True) -> Browser:
        """Return a browser whose camera shows the Y4M file `camera` in a loop; None for one without a camera.

        allowed: whether pages may use it, without being asked. more_arguments: for the browser's command line.
        """
        arguments = [*_ARGUMENTS, *more_arguments]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        if allowed:
            arguments.append("--use-fake-ui-for-media-stream")
        if camera is None:
            arguments.remove("--use-fake-device-for-media-stream")
        else:
            arguments.append(f"--use-file-for-fake-video-capture={camera}")
        key = tuple(arguments)
        if key not in self._running:
            self._running[key] = await self._playwright.chromium.launch(
                executable_path=str(CHROMIUM), headless=True, args=arguments
            )
        return self._running[key]

    async def close(self) -> None:
        """End all browsers."""
        for browser in self._running.values():
            await browser.close()


class Visits:
    """Opens pages, each in a browser context of its own, and notes what they report and which hosts they contact.

    errors: errors on the console (a violation of the Content Security Policy is one) and of scripts. hosts: `host:port`
    of every request and WebSocket.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts = AsyncExitStack()
        self._expected: list[re.Pattern[str]] = []
        self._allowed_hosts: set[str] = set()
        self.errors: list[str] = []
        self.hosts: set[str] = set()

    async def open(
        self, address: str, browser: Browser | None = None, *, before: Prepare | None = None, **context: Any
    ) -> Page:
        """Open `address` in a new context, which `before` prepares. context: for Playwright's `new_context`."""
        opened = await (browser or self._browser).new_context(**context)
        self._contexts.push_async_callback(opened.close)
        if before is not None:
            await before(opened)
        page = await opened.new_page()
        self.allow(address)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        opened.on("request", lambda request: self._contacted(request.url))
        page.on("websocket", lambda socket: self._contacted(socket.url))
        await page.goto(address)
        return page

    def allow(self, address: str) -> None:
        """Allow requests to the host of `address` too."""
        self._allowed_hosts.add(urlsplit(address).netloc)

    def expect_error(self, pattern: str) -> None:
        """Allow errors that contain the regular expression `pattern`."""
        self._expected.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        """Return the errors that no `expect_error` allows, and the hosts other than those of the opened pages."""
        errors = [text for text in self.errors if not any(pattern.search(text) for pattern in self._expected)]
        return errors + [f"contacted {host}" for host in sorted(self.hosts - self._allowed_hosts)]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _contacted(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _NO_HOST:
            self.hosts.add(parts.netloc)

    async def __aenter__(self) -> Visits:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._contexts.aclose()
