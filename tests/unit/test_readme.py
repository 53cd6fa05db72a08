"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_the_readme_shows_the_example_as_it_is(root: Path):
    """The client in the README is the file that a test runs."""
    shown = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
    assert shown == [(root / "examples" / "transfer_client.py").read_text()]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md", "docs/metrics.md", "docs/observability.md"]
)
def test_links_lead_somewhere(root: Path, page: str):
    """Every link to a file of the repository names one that exists."""
    text = (root / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((root / page).parent / target).exists(), f"{page} links to {target}"
