"""The resource usage and the gauges of a deployment's processes, over time."""

from __future__ import annotations

import asyncio
import csv
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.deployment import HOST, MODULES, Deployment
from tests.faults.soak.verdict import Series

_NOT_OF_SESSIONS = (
    "dance_build_info",
    "dance_session_capacity",
    "dance_stage_reachable",
    "dance_generator_loaded_versions",
    "dance_tls_certificate_not_after_seconds",
)
"""Gauges that stay up after the last session. Every other gauge of ours must return to zero."""
_CREATED = "_created"
"""The creation time of a counter: the library calls it a gauge; we do not."""
_TRITONS = "nv_inference_pending_request_count"
_SCRAPE_SECONDS = 20.0
_BACK_SECONDS = 60.0
"""Time for the gauges to return to zero after the last session; a dead client is detected after 40 s."""
_SETTLE_SECONDS = 3.0
"""Time for what processes do after the last client."""
_STUB = "triton_python_backend_stub"
_CHILD = "'s child"
"""Children that come and go: pose has one for a moment whenever a tracker starts."""


class ProcessGone(Exception):
    """A process ended during the soak."""


class Watch:
    """Samples all processes and gauges every `every_seconds`.

    series: the samples so far. at_rest: the samples without sessions. Both are also written to the file `samples` at
    once, in case the soak is cut short. Create it when all long-lived processes are up.
    """

    def __init__(self, deployment: Deployment, samples: Path, every_seconds: float) -> None:
        self.series = Series()
        self.at_rest = Series()
        self._processes = {name: process for name, process in family(deployment).items() if _CHILD not in name}
        self._deployment = deployment
        self._samples = samples
        self._began_s = time.monotonic()
        samples.write_text("seconds,at_rest,process,quantity,value\n")
        self._every_seconds = every_seconds

    def left_behind(self) -> list[str]:
        """Return the unknown processes that remain after the last session."""
        return [name for name, process in family(self._deployment).items() if process not in self._processes.values()]

    async def run(self) -> None:
        """Sample until cancelled. Raises ProcessGone."""
        look_s = time.monotonic()
        while True:
            await self._note(self.series, "")
            look_s += self._every_seconds
            await asyncio.sleep(max(0.0, look_s - time.monotonic()))

    async def rest(self) -> dict[str, float]:
        """Wait until all gauges are at zero, for a limited time; return them, and record the usage at rest."""
        end_s = time.monotonic() + _BACK_SECONDS
        while any((gauges := await asyncio.to_thread(lambda: dict(self._scraped()))).values()):
            if time.monotonic() > end_s:
                break
            await asyncio.sleep(0.5)
        await asyncio.sleep(_SETTLE_SECONDS)
        await self._note(self.at_rest, "yes")
        return gauges

    async def _note(self, series: Series, at_rest: str) -> None:
        seconds = time.monotonic() - self._began_s
        seen = await asyncio.to_thread(self._look)
        with self._samples.open("a", newline="") as file:
            writer = csv.writer(file)
            for (process, quantity), value in seen.items():
                series.add(process, quantity, seconds, value)
                writer.writerow((f"{seconds:.1f}", at_rest, process, quantity, f"{value:g}"))

    def _look(self) -> dict[tuple[str, str], float]:
        seen: dict[tuple[str, str], float] = {}
        for name, process in self._processes.items():
            try:
                seen[name, "own_mib"] = _own_bytes(process.pid) / 2**20
                seen[name, "rss_mib"] = process.memory_info().rss / 2**20
                seen[name, "uss_mib"] = process.memory_full_info().uss / 2**20
                seen[name, "threads"] = process.num_threads()
                seen[name, "descriptors"] = process.num_fds()
                seen[name, "cpu_seconds"] = sum(process.cpu_times()[:2])
            except (psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError) as error:
                raise ProcessGone(f"{name} ended by itself") from error
        for name, value in self._scraped():
            seen["gauges", name] = value
        return seen

    def _scraped(self) -> Iterator[tuple[str, float]]:
        ports = {name: self._deployment.ports[f"{name}_metrics"] for name in MODULES}
        for name, port in {**ports, "triton": self._deployment.ports["tm"]}.items():
            with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=_SCRAPE_SECONDS) as page:
                text = page.read().decode()
            for metric in text_string_to_metric_families(text):
                ours = metric.name.startswith("dance_") and not metric.name.endswith(_CREATED)
                if metric.type == "gauge" and (ours or metric.name == _TRITONS) and metric.name not in _NOT_OF_SESSIONS:
                    for sample in metric.samples:
                        labels = "".join(f" {value}" for _, value in sorted(sample.labels.items()))
                        yield f"{name}: {metric.name}{labels}", sample.value


def _own_bytes(pid: int) -> int:
    """Anonymous memory, swapped or not. USS does not work: a file page's share depends on other processes."""
    status = Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return sum(1024 * int(lines[name].split()[0]) for name in ("RssAnon", "VmSwap"))


def family(deployment: Deployment) -> dict[str, psutil.Process]:
    """Every process of a deployment, by name: ours, Triton, and by number the stubs of its actors and others."""
    found: dict[str, psutil.Process] = {}
    for name in MODULES:
        (process,) = deployment.victims(name)
        found[name] = process
        for child in sorted(process.children(recursive=True), key=lambda child: child.pid):
            try:
                command = " ".join(child.cmdline())
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue  # it has just gone
            kind = "stub" if _STUB in command else "triton" if "tritonserver" in command else f"{name}{_CHILD}"
            number = 1 + sum(other.startswith(kind) for other in found)
            found[kind if kind == "triton" else f"{kind} {number}"] = child
    return found
