"""Reads the page's words without a browser."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "web" / "page"
_QUOTED: Final = r"'(?:[^'\\]|\\.)*'"
_FORMS: Final = rf"\{{(?:\s*\w+:\s*{_QUOTED},?)*\s*\}}"
_ENTRY: Final = re.compile(rf"\b(\w+):\s*({_QUOTED}|{_FORMS})\s*,")
_FORM: Final = re.compile(rf"(\w+):\s*({_QUOTED})")
_COMMENT: Final = re.compile(r"^\s*//.*$", re.MULTILINE)
_WORD: Final = re.compile(r"[a-z][a-z_]+")

Words = dict[str, dict[str, str]]
"""Sentences by key; of each its plural forms, or the single form ""."""


@cache
def words_of(language: str) -> Words:
    """Return the sentences of `language`. Raises ValueError for a file with anything else in it."""
    found: Words = {}
    for path in sorted((PAGE / "words").rglob(f"{language}.js")):
        text = _COMMENT.sub("", path.read_text())
        for key, value in _ENTRY.findall(text):
            if key in found:
                raise ValueError(f"{language}: {key} is there twice")
            is_single = value.startswith("'")
            found[key] = {"": value[1:-1]} if is_single else {form: said[1:-1] for form, said in _FORM.findall(value)}
        rest = _ENTRY.sub("", text).strip()
        if re.sub(r"\s+", "", rest) != f"exportconst{language}={{}};":
            raise ValueError(f"{language}: cannot be read: {rest[:200]}")
    return found


def sentence(key: str, language: str = "en", /, **values: object) -> str:
    """Return a sentence without plural forms, with `{name}` replaced by `values`."""
    return words_of(language)[key][""].format(**values)


def scripts() -> dict[Path, str]:
    """Return the page's own modules, without the package that finds poses."""
    paths = (path for path in PAGE.rglob("*.js") if "holistic" not in path.parts)
    return {path: path.read_text() for path in sorted(paths)}


def refusals() -> set[str]:
    """Return the words of the gateway's refusals, which follow a status of HTTP, and those of failed dances."""
    found: set[str] = set()
    for path in (ROOT / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            pairs = list(zip(node.keys, node.values, strict=True)) if isinstance(node, ast.Dict) else []
            if isinstance(node, ast.Call | ast.Tuple):
                listed = node.args if isinstance(node, ast.Call) else node.elts
                pairs += list(pairwise(listed))
            for before, after in pairs:
                if before is not None and (_is_refusing_status(before) or ast.unparse(before) == "State.FAILED"):
                    found |= _words_in(after)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "body_of":
                found |= _words_in(node.args[2])
    return found


def _is_refusing_status(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and 400 <= node.value < 600


def _words_in(node: ast.expr) -> set[str]:
    texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return {text for text in texts if _WORD.fullmatch(text)}
