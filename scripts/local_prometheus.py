"""A Prometheus on this machine with the configuration and rules of deploy/, asking local processes; its HTTP API."""

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

ROOT: Final = Path(__file__).resolve().parents[1]
# This machine is asked without a proxy, whatever the environment names.
_STRAIGHT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
DEPLOYED_FOLDER: Final = "/etc/prometheus"
"""Where the configuration lies in the pod, and therefore what it calls its rules."""

_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 30.0

Targets = Mapping[str, Sequence[str]]
"""Addresses (host:port) by the name of the scrape job."""


def deployed_files() -> dict[str, str]:
    """What the ConfigMaps of deploy/ put into Prometheus' folder: prometheus.yml, recording.yaml and alerts.yaml."""
    files: dict[str, str] = {}
    for name in ("70-prometheus-config", "71-prometheus-rules"):
        files |= yaml.safe_load((ROOT / "deploy" / f"{name}.yaml").read_text())["data"]
    return files


def local_configuration(deployed: str, rules_folder: Path, targets: Targets, every_seconds: float) -> str:
    """The deployed prometheus.yml with addresses of this machine, its intervals shortened, and nothing else changed.

    Raises ValueError where `targets` does not name exactly the scrape jobs of the configuration.
    """
    config = yaml.safe_load(deployed)
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    if jobs != set(targets):
        raise ValueError(f"targets are given for {sorted(targets)}, and the configuration has {sorted(jobs)}")
    interval = f"{round(every_seconds * 1000)}ms"
    config["global"] |= {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    config["rule_files"] = [
        path.replace(f"{DEPLOYED_FOLDER}/rules", str(rules_folder)) for path in config["rule_files"]
    ]
    del config["alerting"]
    for job in config["scrape_configs"]:
        addresses = list(targets[job["job_name"]])
        if "dns_sd_configs" in job:
            # The name is looked at by the rules that give a target its labels.
            (found,) = job.pop("dns_sd_configs")
            labels = {"__meta_dns_name": found["names"][0]}
        else:
            (found,) = job.pop("static_configs")
            labels = found["labels"]
        job["static_configs"] = [{"targets": addresses, "labels": labels}] if addresses else []
    return yaml.safe_dump(config, sort_keys=False)


@dataclass(frozen=True, slots=True)
class Series:
    """One time series. labels: all of them. points: seconds since 1970, and the value, which may be NaN."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def finite(self) -> bool:
        """Whether it has a value that is a number."""
        return any(math.isfinite(value) for _, value in self.points)


class PrometheusApi:
    """The HTTP API of a Prometheus. Every method raises OSError when it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def now(self, expr: str) -> list[Series]:
        """The series of an expression, with its value of now. Raises ValueError for an expression that is none."""
        return [_series(found, [found["value"]]) for found in self._get("query", query=expr)["result"]]

    def over(self, expr: str, start_s: float, end_s: float, step_seconds: float) -> list[Series]:
        """The series of an expression between two times. Raises ValueError for an expression that is none."""
        answer = self._get("query_range", query=expr, start=start_s, end=end_s, step=step_seconds)
        return [_series(found, found["values"]) for found in answer["result"]]

    def targets(self) -> list[dict[str, Any]]:
        """All targets, as the API describes them."""
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """All rules of all groups, as the API describes them."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def evaluations(self) -> set[str]:
        """When each group of rules was looked at last, as the API writes times."""
        return {group["lastEvaluation"] for group in self._get("rules")["groups"]}

    def _get(self, what: str, **parameters: str | float) -> Any:
        query = urllib.parse.urlencode(parameters)
        try:
            with _STRAIGHT.open(f"{self.url}/api/v1/{what}?{query}", timeout=_ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise ValueError(f"Prometheus refuses {parameters.get('query', what)}: {said}") from error


def _series(found: Mapping[str, Any], points: Sequence[tuple[float, str]]) -> Series:
    return Series(found["metric"], [(float(at_s), float(value)) for at_s, value in points])


class LocalPrometheus(PrometheusApi):
    """A Prometheus process, as a context manager: entered when it is ready, ended on leaving.

    folder: for its configuration, data and log. targets: by scrape job, all of them named, some perhaps without an
    address. every_seconds: between two scrapes, and two evaluations of the rules. Its own address is added.

    Entering raises FileNotFoundError where no Prometheus is installed, RuntimeError with the end of its log when it
    does not start.
    """

    def __init__(self, folder: Path, targets: Targets, *, every_seconds: float = 1.0) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        super().__init__(f"http://{self.address}")
        self._folder = folder
        self._targets = {**targets, "prometheus": [self.address]}
        self._every_seconds = every_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("prometheus")
        if program is None:
            raise FileNotFoundError("there is no program prometheus here; on Debian: apt-get install prometheus")
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
        """Ends the process, killing it where it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

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
        raise RuntimeError(f"Prometheus does not start; the end of {self._log}:\n{end}")


def write_configuration(folder: Path, targets: Targets, every_seconds: float) -> Path:
    """Writes the deployed configuration for local targets, and the deployed rules, into `folder`; gives its path."""
    rules = folder / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    files = deployed_files()
    config = folder / "prometheus.yml"
    config.write_text(local_configuration(files.pop("prometheus.yml"), rules, targets, every_seconds))
    for name, text in files.items():
        (rules / name).write_text(text)
    return config
