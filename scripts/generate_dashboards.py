"""Write the ConfigMaps of the dashboards in deploy/dashboards; with `--check`, fail if one is out of date.

python scripts/generate_dashboards.py [--check]
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards.stages import STAGES_DASHBOARD
from deploy.dashboards.training import TRAINING
from deploy.dashboards.transfer import TRANSFER
from deploy.dashboards.triton import TRITON
from scripts.generated_files import ROOT, write_or_check

DASHBOARDS: Final = (TRANSFER, STAGES_DASHBOARD, TRITON, TRAINING)
FIRST_NUMBER: Final = 81
"""kubectl applies manifests in the order of their names: dashboards come before the Grafana that mounts them."""


def name_of(dashboard: Dashboard) -> str:
    """Return `stages` for the dashboard with the uid `dance-stages`."""
    return str(dashboard.uid).removeprefix("dance-")


def path_of(dashboard: Dashboard) -> Path:
    """Return the path of the dashboard's ConfigMap."""
    number = FIRST_NUMBER + DASHBOARDS.index(dashboard)
    return ROOT / "deploy" / f"{number}-grafana-dashboard-{name_of(dashboard)}.yaml"


def manifest(dashboard: Dashboard) -> str:
    """Return the dashboard's ConfigMap. Where a cluster runs Grafana's sidecar, the sidecar finds it by its label."""
    model = JSONEncoder(indent=1).encode(dashboard)
    return (
        "# Generated from deploy/dashboards by `python scripts/generate_dashboards.py`; a test compares them.\n"
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        f"  name: grafana-dashboard-{name_of(dashboard)}\n"
        "  namespace: everybody-dance\n"
        "  labels:\n"
        "    app.kubernetes.io/name: grafana\n"
        "    app.kubernetes.io/part-of: everybody-dance\n"
        '    grafana_dashboard: "1"\n'
        "data:\n"
        f"  {name_of(dashboard)}.json: |\n"
        f"{textwrap.indent(model, '    ')}\n"
    )


if __name__ == "__main__":
    write_or_check({path_of(dashboard): manifest(dashboard) for dashboard in DASHBOARDS})
