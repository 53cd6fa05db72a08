"""Tables in Markdown on stdout."""

from __future__ import annotations


def header(*columns: str) -> str:
    """Return the two lines that start a table."""
    return row(*columns) + "\n" + "|---" * len(columns) + "|"


def row(*cells: str) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"
