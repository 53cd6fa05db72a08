"""Writes the dashboards' ConfigMaps below deploy/ from deploy/dashboards; `--check` fails where one lags behind.

python scripts/generate_dashboards.py [--check]
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Final

from deploy.dashboards.panels import Dashboard
from deploy.dashboards.stages import STAGES_DASHBOARD
from deploy.dashboards.training import TRAINING
from deploy.dashboards.transfer import TRANSFER
from deploy.dashboards.triton import TRITON

ROOT: Final = Path(__file__).resolve().parents[1]
DASHBOARDS: Final = (TRANSFER, STAGES_DASHBOARD, TRITON, TRAINING)
FIRST_NUMBER: Final = 81
"""The manifests are applied in the order of their names: dashboards before the Grafana that mounts them."""


def path_of(dashboard: Dashboard) -> Path:
    """Of its ConfigMap."""
    number = FIRST_NUMBER + DASHBOARDS.index(dashboard)
    return ROOT / "deploy" / f"{number}-grafana-dashboard-{dashboard.name}.yaml"


def manifest(dashboard: Dashboard) -> str:
    """Its ConfigMap. The label is the one by which Grafana's sidecar finds dashboards, in clusters that have it."""
    model = json.dumps(dashboard.to_json(), indent=1)
    return (
        "# Written by `python scripts/generate_dashboards.py` from deploy/dashboards; a test keeps the two together.\n"
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        f"  name: grafana-dashboard-{dashboard.name}\n"
        "  namespace: everybody-dance\n"
        "  labels:\n"
        "    app.kubernetes.io/name: grafana\n"
        "    app.kubernetes.io/part-of: everybody-dance\n"
        '    grafana_dashboard: "1"\n'
        "data:\n"
        f"  {dashboard.name}.json: |\n"
        f"{textwrap.indent(model, '    ')}\n"
    )


def main() -> None:
    """Writes the manifests, or compares them."""
    checking = "--check" in sys.argv[1:]
    for dashboard in DASHBOARDS:
        path = path_of(dashboard)
        if not checking:
            path.write_text(manifest(dashboard))
        elif not path.exists() or path.read_text() != manifest(dashboard):
            sys.exit(f"deploy/{path.name} lags behind: python scripts/generate_dashboards.py writes it")


if __name__ == "__main__":
    main()
