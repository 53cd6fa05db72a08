"""The page for those who look for an error by its words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

OURS = ("client", "motion", "orchestrator", "serving", "services", "training", "video")
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def quotes() -> list[str]:
    """What the first column quotes, row by row."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]*)`", row.split(" | ")[0])[0] for row in rows]


@pytest.fixture(scope="module")
def spoken(root: Path) -> str:
    """All texts in the source, literals side by side joined as Python joins them; and the script that installs."""
    texts = [(root / "scripts" / "install.sh").read_text()]
    for path in (path for package in OURS for path in sorted((root / package).rglob("*.py"))):
        constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        texts.extend(node.value for node in constants if isinstance(node.value, str))
    return "\n".join(texts)


@pytest.mark.parametrize("quote", quotes())
def test_every_quoted_message_is_one_of_ours(spoken: str, quote: str):
    """Each part between the dots stands in the source as the page has it."""
    parts = [part.strip(" ,;:()") for part in quote.split("...")]
    assert max(len(part) for part in parts) >= 12
    for part in filter(None, parts):
        assert part in spoken, f"docs/troubleshooting.md quotes {part!r}, which the source does not say"


def test_pages_lead_to_it(root: Path):
    """The README and the pages on running it name it."""
    assert "(docs/troubleshooting.md)" in (root / "README.md").read_text()
    assert "(troubleshooting.md)" in (root / "docs" / "operations.md").read_text()
