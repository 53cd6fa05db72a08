"""Write docs/metrics.md from the metrics in the code; with `--check`, fail if the page is out of date.

python scripts/generate_metrics_page.py [--check]
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

from scripts.generated_files import ROOT, write_or_check

PAGE: Final = ROOT / "docs" / "metrics.md"
KINDS: Final = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram", "Info": "info"}
FOLDERS: Final = ("serving", "orchestrator", "services", "training")
UNITS: Final = {"_seconds": "seconds", "_seconds_left": "seconds", "_bytes": "bytes"}
INTRODUCTION: Final = """\
# Metrics

Generated from the code by `python scripts/generate_metrics_page.py`; a test fails if the page is out of date.

Every process serves Prometheus metrics over HTTP on its `metrics_port`, which its ready line names. Values have \
base units. A session's id is never a label: to find one session, use the logs and traces \
([observability.md](observability.md)). Each histogram has `_bucket`, `_sum` and `_count` series, with bucket edges \
at the frame budgets (8, 16, 33, 40 ms). Triton has its own metrics (`nv_inference_*`): counters of microseconds, so \
they only allow means. A training serves its metrics on `TRAINING_METRICS_PORT` while it runs. \
[dashboards.md](dashboards.md) and [runbooks.md](runbooks.md) describe the dashboards and alerts built on these \
metrics.

The metrics of `serving/telemetry.py` exist in every process. All processes fill `dance_event_loop_lag_seconds` and \
`dance_build_info`; stages with streams (pose, normalize) fill `dance_streams`; only the orchestrator fills the \
others. The orchestrator's stages are `pose`, `normalize`, `label_map`, `generator`, `face` and `encode`; the \
servers whose reachability it reports are `pose`, `normalize`, `face`, `agent` and `triton`.
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as the code declares it. name: in Prometheus. source: the file, relative to the root."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    source: str

    @property
    def unit(self) -> str:
        """The unit of its values; "1" if it has none."""
        return next((unit for suffix, unit in UNITS.items() if self.name.endswith(suffix)), "1")


def declared() -> list[Metric]:
    """Return all metrics in the code, ordered by file and name."""
    found: list[Metric] = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.relative_to(ROOT).as_posix()
            found += [
                _metric(node, source)
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in KINDS
                and node.args
            ]
    return sorted(found, key=lambda metric: (FOLDERS.index(metric.source.split("/")[0]), metric.source, metric.name))


def _metric(call: ast.Call, source: str) -> Metric:
    assert isinstance(call.func, ast.Name)
    name, meaning, *further = (ast.literal_eval(argument) for argument in call.args)
    further += [ast.literal_eval(named.value) for named in call.keywords if named.arg == "labelnames"]
    kind = KINDS[call.func.id]
    shown = {"counter": f"{name}_total", "info": f"{name}_info"}.get(kind, name)
    return Metric(shown, kind, tuple(further[0]) if further else (), meaning, source)


def page() -> str:
    """Return the whole page."""
    lines = [INTRODUCTION]
    source = ""
    for metric in declared():
        if metric.source != source:
            source = metric.source
            lines.append(f"## {source}\n\n| metric | kind | labels | unit | meaning |\n|---|---|---|---|---|")
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.meaning} |")
    text = "\n".join(lines) + "\n"
    return text.replace("|\n## ", "|\n\n## ")


if __name__ == "__main__":
    write_or_check({PAGE: page()})
