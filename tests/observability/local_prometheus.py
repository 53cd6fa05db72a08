"""A Prometheus on this machine with the configuration and rules of deploy/, scraping local processes."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from serving.process.parent_death import adopted

ROOT: Final = Path(__file__).resolve().parents[2]
# Connect to this machine directly, even if the environment names a proxy.
_STRAIGHT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
DEPLOYED_FOLDER: Final = "/etc/prometheus"
"""The folder of the configuration in the pod; the configuration names its rules by it."""

_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 30.0

Targets = Mapping[str, Sequence[str]]
"""Addresses (host:port) by the name of the scrape job."""


def deployed_files() -> dict[str, str]:
    """Return the files that deploy/'s ConfigMaps mount for Prometheus: prometheus.yml, recording.yaml, alerts.yaml."""
    files: dict[str, str] = {}
    for name in ("70-prometheus-config", "71-prometheus-rules"):
        files |= yaml.safe_load((ROOT / "deploy" / f"{name}.yaml").read_text())["data"]
    return files


def local_configuration(deployed: str, rules_folder: Path, targets: Targets, every_seconds: float) -> str:
    """Return the deployed prometheus.yml with local addresses and shorter intervals, and nothing else changed.

    Raises ValueError if `targets` does not name exactly the scrape jobs of the configuration.
    """
    config = yaml.safe_load(deployed)
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    if jobs != set(targets):
        raise ValueError(f"targets name the jobs {sorted(targets)}, but the configuration has {sorted(jobs)}")
    interval = f"{round(every_seconds * 1000)}ms"
    config["global"] |= {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    config["rule_files"] = [
        path.replace(f"{DEPLOYED_FOLDER}/rules", str(rules_folder)) for path in config["rule_files"]
    ]
    del config["alerting"]
    for job in config["scrape_configs"]:
        addresses = list(targets[job["job_name"]])
        if "dns_sd_configs" in job:
            # The relabelling rules read the DNS name.
            (found,) = job.pop("dns_sd_configs")
            labels = {"__meta_dns_name": found["names"][0]}
        else:
            (found,) = job.pop("static_configs")
            labels = found["labels"]
        job["static_configs"] = [{"targets": addresses, "labels": labels}] if addresses else []
    return yaml.safe_dump(config, sort_keys=False)


@dataclass(frozen=True, slots=True)
class Series:
    """One time series. labels: all of them. value: now; may be NaN."""

    labels: Mapping[str, str]
    value: float

    @property
    def finite(self) -> bool:
        """Whether the value is a number."""
        return math.isfinite(self.value)


class LocalPrometheus:
    """A Prometheus process as a context manager, with the queries of its HTTP API.

    folder: for its configuration, data and log. targets: one entry for each scrape job, possibly without addresses;
    its own address is added. every_seconds: between two scrapes, and between two evaluations of the rules.

    Entering waits until it is ready. It raises RuntimeError with the end of the log if Prometheus does not start. Every
    query raises OSError if Prometheus does not answer, and ValueError for an invalid expression.
    """

    def __init__(self, folder: Path, targets: Targets, *, every_seconds: float = 1.0) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self._folder = folder
        self._targets = {**targets, "prometheus": [self.address]}
        self._every_seconds = every_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("prometheus")
        if program is None:
            raise FileNotFoundError("prometheus is not installed; on Debian: apt-get install prometheus")
        config = write_configuration(self._folder, self._targets, self._every_seconds)
        command = (
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self.address}",
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(adopted(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Terminate the process; kill it if it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def now(self, expr: str) -> list[Series]:
        """Return the series of an expression with their current values."""
        return [Series(one["metric"], float(one["value"][1])) for one in self._get("query", query=expr)["result"]]

    def targets(self) -> list[dict[str, Any]]:
        """Return all targets, as the API describes them."""
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules of all groups, as the API describes them."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def evaluations(self) -> set[str]:
        """Return the times of the last evaluation of each group of rules, as the API writes times."""
        return {group["lastEvaluation"] for group in self._get("rules")["groups"]}

    def _get(self, what: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        try:
            with _STRAIGHT.open(f"{self.url}/api/v1/{what}?{query}", timeout=_ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")
            raise ValueError(f"Prometheus refuses {parameters.get('query', what)}: {reason}") from error

    @property
    def _log(self) -> Path:
        return self._folder / "prometheus.log"

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at_s = time.monotonic() + _READY_SECONDS
        while time.monotonic() < give_up_at_s and process.poll() is None:
            try:
                with _STRAIGHT.open(f"{self.url}/-/ready", timeout=_ANSWER_SECONDS):
                    return
            except OSError:
                time.sleep(0.05)
        end = "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])
        raise RuntimeError(f"Prometheus did not start; the end of {self._log}:\n{end}")


def write_configuration(folder: Path, targets: Targets, every_seconds: float) -> Path:
    """Write the deployed rules and the configuration for local targets to `folder`; return the configuration's path."""
    rules = folder / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    files = deployed_files()
    config = folder / "prometheus.yml"
    config.write_text(local_configuration(files.pop("prometheus.yml"), rules, targets, every_seconds))
    for name, text in files.items():
        (rules / name).write_text(text)
    return config
