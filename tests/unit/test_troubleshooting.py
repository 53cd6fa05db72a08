"""The troubleshooting page quotes error messages exactly."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

OURS = ("client", "motion", "orchestrator", "serving", "services", "training", "video", "web")
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def quotes() -> list[str]:
    """Return the quoted message of each row."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]*)`", row.split(" | ")[0])[0] for row in rows]


@pytest.fixture(scope="module")
def messages(root: Path) -> str:
    """All string literals in the source, with adjacent ones joined, the install script, and the page's words."""
    texts = [(root / "scripts" / "install.sh").read_text(), (root / "web" / "page" / "words" / "en.js").read_text()]
    for path in (path for package in OURS for path in sorted((root / package).rglob("*.py"))):
        constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        texts.extend(node.value for node in constants if isinstance(node.value, str))
    return "\n".join(texts)


@pytest.mark.parametrize("quote", quotes())
def test_every_quoted_message_is_in_the_source(messages: str, quote: str):
    """Each part of a quote between dots is a literal in the source."""
    parts = [part.strip(" ,;:()") for part in quote.split("...")]
    assert max(len(part) for part in parts) >= 12
    for part in filter(None, parts):
        assert part in messages, f"docs/troubleshooting.md quotes {part!r}, which is not in the source"


def test_other_pages_link_to_it(root: Path):
    """The README and the operations page link to the troubleshooting page."""
    assert "(docs/troubleshooting.md)" in (root / "README.md").read_text()
    assert "(troubleshooting.md)" in (root / "docs" / "operations.md").read_text()
