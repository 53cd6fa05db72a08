"""What callers are told of a failure: the reason, without the paths of this machine and the lines of our code.

The server's log has the whole text.
"""

from __future__ import annotations

import re
from typing import Final

# Python's traceback; what pybind11 appends to an exception, as Triton's Python backend passes it on; a line of either.
_TRACEBACK: Final = re.compile(
    r"\s*(?:Traceback \(most recent call last\):|\n\s*At:\s*\n|\n\s*File \"[^\"\n]*\", line \d+"
    r"|\n\s*/[^\n]*\(\d+\): \w+).*",
    re.DOTALL,
)
_FILE_URL: Final = re.compile(r"""\bfile:(?://[^\s/'"`]*)?/+""", re.IGNORECASE)
_QUOTED_PATH: Final = re.compile(
    r"""(?P<quote>['"])(?P<scheme>[a-z-]+:(?!//))?/[^'"\n]*/(?P<name>[^'"/\n]+)/?(?P=quote)"""
)
# Two parts at least: "/metrics" says nothing. Neither a URL, nor what stands behind a word, as in "image/png". A folder
# may hold any mark, but what stands before the next "/" may also end one path of several, as in "(/a/b),/c/d".
_PATH: Final = re.compile(
    r"""(?:(?<![\w./\\-])/|(?<![\w./\\:-])//+)
        (?:(?:[^\s/'"`]|(?<=\w)'(?=\w))+(?<![,;:(<\[{])/+)+
        (?P<name>[^\s/'"`,;:()<>\[\]{}]*)""",
    re.VERBOSE,
)


def without_paths(text: str) -> str:
    """`text` up to a traceback, with the name alone for every absolute path. The same text where there is neither.

    A path that holds a space is known as a whole only in quotes.
    """
    without_traceback = _TRACEBACK.sub("", text)
    without_urls = _FILE_URL.sub("file:/", without_traceback)
    quoted = _QUOTED_PATH.sub(r"\g<quote>\g<scheme>\g<name>\g<quote>", without_urls)
    return _PATH.sub(lambda path: path["name"] or "…", quoted)
