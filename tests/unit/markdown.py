"""Reads Markdown as far as tests of the documentation need it: prose, headings, links and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = [
    folder
    for folder in sorted(ROOT.iterdir())
    if folder.is_dir()
    and folder.name not in ("out", "actors", "work", "evaluation")  # git ignores these
    and (not folder.name.startswith(".") or folder.name == ".github")
]
"""The folders with files of the project."""
_FENCE: Final = re.compile(r" *(```|~~~)")
_LIST_ITEM: Final = re.compile(r" *([-*+]|\d+[.)]) ")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines outside fenced code, front matter and HTML comments; a skipped line is yielded as ""."""
    lines = text.splitlines()
    front_matter_ends = lines.index("---", 1) if lines[:1] == ["---"] else -1
    fence = ""
    comment = False
    for number, line in enumerate(lines):
        opened = _FENCE.match(line)
        if number <= front_matter_ends:
            line = ""
        elif comment or line.lstrip().startswith("<!--"):
            comment = "-->" not in line
            line = ""
        elif fence:
            fence = "" if opened and opened[1] == fence else fence
            line = ""
        elif opened:
            fence, line = opened[1], ""
        yield number + 1, line


def wrapped_lines(text: str) -> list[int]:
    """The lines that continue a paragraph, or a list item, of the line before."""
    found = []
    previous = ""
    for number, line in prose(text):
        content = line.lstrip("> ")
        starts = not content or content.startswith(("#", "|", "<", "---")) or _LIST_ITEM.match(line) is not None
        if not starts and previous and not previous.startswith(("#", "|", "<", "---")):
            found.append(number)
        previous = content
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them, and those set by hand."""
    found: set[str] = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for _, line in prose(text):
        if heading := re.match(r"#{1,6} +(.*?) *#*$", line):
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            name, again = slug, 0
            while name in found:
                again += 1
                name = f"{slug}-{again}"
            found.add(name)
    return found


def links(text: str) -> Iterator[tuple[int, str]]:
    """The targets of the links and pictures outside code, without those to other sites."""
    for number, line in prose(text):
        plain = re.sub(r"(`+).*?\1", "", line)
        targets = re.findall(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)", plain)
        targets += re.findall(r"^\[[^\]]+\]: +(\S+)", plain)
        yield from ((number, target) for target in targets if not re.match(r"[a-z]+:", target))


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of fenced shell code, with continued ones joined, and every code span outside of them."""
    lines = text.splitlines()
    outside = dict(prose(text))
    language, pending = "", ""
    for number, line in enumerate(lines, start=1):
        if outside[number] or not line:
            yield from ((number, span) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", outside[number]))
            continue
        if fence := re.match(r" *(?:```|~~~)(.*)", line):
            language = fence[1].strip()
        elif language in ("", "sh", "bash", "shell", "console"):
            pending += line.strip().removeprefix("$ ")
            if pending.endswith("\\"):
                pending = pending[:-1]
                continue
            yield number, pending
        pending = ""
