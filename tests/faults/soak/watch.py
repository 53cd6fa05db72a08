"""What the processes of a deployment take, and what their gauges say, over time."""

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
"""Gauges that stay up when the last session has gone. Every other one of ours has to be back at zero."""
_CREATED = "_created"
"""When a counter was made: a gauge to the library, not to us."""
_TRITONS = "nv_inference_pending_request_count"
_SCRAPE_SECONDS = 20.0
_STUB = "triton_python_backend_stub"
_CHILD = "'s child"
"""Children that come and go, as pose has one for a moment whenever a tracker starts."""


class ProcessGone(Exception):
    """A process ended in mid-soak."""


class Watch:
    """Looks at all processes and gauges every `every_seconds`.

    series: what was seen so far; each line is in the file `samples` too, at once, for a soak that is cut short.
    Made when all processes are up that will stay.
    """

    def __init__(self, deployment: Deployment, samples: Path, every_seconds: float) -> None:
        self.series = Series()
        self._processes = {name: process for name, process in family(deployment).items() if _CHILD not in name}
        self._deployment = deployment
        self._samples = samples
        self._every_seconds = every_seconds

    async def gauges(self) -> dict[str, float]:
        """Every gauge that speaks of sessions and work under way, by process and name."""
        return await asyncio.to_thread(lambda: dict(self._scraped()))

    def left_behind(self) -> list[str]:
        """Processes that nobody knows, once the last session has ended."""
        return [name for name, process in family(self._deployment).items() if process not in self._processes.values()]

    async def run(self) -> None:
        """Until it is cancelled. Raises ProcessGone."""
        began_s = look_s = time.monotonic()
        with self._samples.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("seconds", "process", "quantity", "value"))
            while True:
                seconds = time.monotonic() - began_s
                for (process, quantity), value in (await asyncio.to_thread(self._look)).items():
                    self.series.add(process, quantity, seconds, value)
                    writer.writerow((f"{seconds:.1f}", process, quantity, f"{value:g}"))
                file.flush()
                look_s += self._every_seconds
                await asyncio.sleep(max(0.0, look_s - time.monotonic()))

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
    """Anonymous memory, swapped or not. USS would not do: what a file's pages count depends on who else has them."""
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
