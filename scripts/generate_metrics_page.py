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
FOLDERS: Final = ("serving", "orchestrator", "services", "training", "web")
UNITS: Final = {"_seconds": "seconds", "_seconds_left": "seconds", "_bytes": "bytes"}
INTRODUCTION: Final = """\
# Metrics

Look up a metric here. [dashboards.md](dashboards.md) shows the charts; [runbooks.md](runbooks.md) explains the alerts.

- Every process serves Prometheus metrics over HTTP on its `metrics_port`, which its ready line names.
- Units are base units. A session's id is never a label: use the logs and traces to follow one session \
([observability.md](observability.md)).
- A histogram has `_bucket`, `_sum` and `_count`. Its buckets have edges where a frame's budget ends (8, 16, 33, 40 ms).
- Triton has metrics of its own (`nv_inference_*`: counters in microseconds, so means only).
- A training serves its metrics on `TRAINING_METRICS_PORT` while it runs.

The metrics of `serving/observability/metrics.py` exist in every process:

| filled by | metrics |
|---|---|
| all processes | `dance_event_loop_lag_seconds`, `dance_build_info` |
| stages with streams (pose, normalize) | `dance_streams` |
| the orchestrator | the others |

| label | values |
|---|---|
| `stage`, in the orchestrator | `pose`, `normalize`, `label_map`, `reference`, `generator`, `face`, `encode` |
| `stage` of `dance_stage_reachable` | `pose`, `normalize`, `face`, `agent`, `triton` |

`python scripts/generate_metrics_page.py` writes this page from the code; a test checks that the page is up to date.
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
