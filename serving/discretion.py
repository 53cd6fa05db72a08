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
_QUOTED_PATH: Final = re.compile(r"""(?P<quote>['"])/[^'"\n]*/(?P<name>[^'"/\n]+)/?(?P=quote)""")
# Two parts at least: "/metrics" says nothing. Neither a URL, nor what stands behind a word, as in "image/png".
_PATH: Final = re.compile(r"(?<![\w./\\-])/(?:[^\s/'\"`,;:()<>\[\]{}]+/)+(?P<name>[^\s/'\"`,;:()<>\[\]{}]*)")


def told(text: str) -> str:
    """`text` up to a traceback, with the name alone for every absolute path. The same text where there is neither."""
    without_traceback = _TRACEBACK.sub("", text)
    quoted = _QUOTED_PATH.sub(r"\g<quote>\g<name>\g<quote>", without_traceback)
    return _PATH.sub(lambda path: path["name"] or "…", quoted)
