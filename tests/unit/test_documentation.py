"""The pages: their lines, their links, and every command that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.unit.markdown import FOLDERS, ROOT, anchors, links, prose, wrapped_lines
from tests.unit.shown_commands import wrong_commands

PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in folder.rglob("*.md"))]
)
PRESENT: Final = [page for page in PAGES if page != "CHANGELOG.md"]
"""The pages about what there is; the changelog also names what there was."""
_NOT_TEXT: Final = {".md", ".mp4", ".onnx", ".png", ".jpg", ".npz", ".npy", ".webp", ".lock", ".wasm", ".binarypb"}


def wrong_links(text: str, page: Path) -> list[str]:
    """The links of a page that lead nowhere, with their lines."""
    found = []
    for number, target in links(text):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not (there == page or there.exists()) or ROOT not in (there, *there.parents):
            found.append(f"line {number}: {target} is not in the repository")
        elif anchor and (there.suffix != ".md" or anchor not in anchors(text if there == page else there.read_text())):
            found.append(f"line {number}: {path or 'this page'} has no heading #{anchor}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_paragraph_is_one_line(page: str):
    """Prose is not wrapped: a paragraph, or a list item, is one line, so that a change shows as the sentence it is."""
    lines = wrapped_lines((ROOT / page).read_text())
    assert not lines, f"{page} continues a paragraph on line(s) {', '.join(map(str, lines))}; join them, and fence code"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    """Every relative link names a file of the repository, and every anchor a heading."""
    wrong = wrong_links((ROOT / page).read_text(), ROOT / page)
    assert not wrong, f"{page}, {'; '.join(wrong)}"


@pytest.mark.parametrize("page", PRESENT)
def test_commands_exist(page: str):
    """Every command that a page shows exists, with its options."""
    wrong = wrong_commands((ROOT / page).read_text())
    assert not wrong, f"{page}, {'; '.join(wrong)}"


@pytest.mark.parametrize("page", PRESENT)
def test_files_named_in_code_exist(page: str):
    """A path such as `motion/labelmap.py` is a file from the root or the page's folder; `link.py` is one below it."""
    text = (ROOT / page).read_text()
    spans = [(number, span) for number, line in prose(text) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", line)]
    paths = [(number, span) for number, span in spans if re.fullmatch(r"[\w.-]+(/[\w.-]+)*\.(py|proto|sh)", span)]
    near = (ROOT / page).parent
    below = {
        path.name for folder in (FOLDERS if near in (ROOT, ROOT / "docs") else [near]) for path in folder.rglob("*")
    }
    missing = [
        f"line {number}: {path}"
        for number, path in paths
        if not ((ROOT / path).exists() or (near / path).exists() or path in below)
    ]
    assert not missing, f"{page}, {'; '.join(missing)}"


def test_the_source_names_pages_that_exist():
    """Every `docs/...md` in code, manifests and scripts is a page, and its anchor a heading."""
    missing = []
    folders = [folder for folder in FOLDERS if folder.name not in ("docs", "tests")]
    files = [
        path for folder in [ROOT, *folders] for path in (folder.glob("*") if folder == ROOT else folder.rglob("*"))
    ]
    for file in files:
        if not file.is_file() or file.suffix in _NOT_TEXT or "__pycache__" in file.parts:
            continue
        for page, anchor in re.findall(r"\bdocs/([\w./-]+\.md)(?:#([\w-]+))?", file.read_text()):
            there = ROOT / "docs" / page
            if not there.is_file() or (anchor and anchor not in anchors(there.read_text())):
                missing.append(f"{file.relative_to(ROOT)}: docs/{page}{anchor and '#' + anchor}")
    assert not missing


def test_the_index_has_every_page():
    """docs/README.md links every page in docs/, some through the front page of results/; decisions/ as a folder."""
    index = {target.partition("#")[0] for _, target in links((ROOT / "docs" / "README.md").read_text())}
    fronts = {path for path in index if path.endswith("README.md")}
    for front in fronts:
        inner = links((ROOT / "docs" / front).read_text())
        index |= {str(Path(front).parent / target.partition("#")[0]) for _, target in inner}
    pages = {path.removeprefix("docs/") for path in PAGES if path.startswith("docs/")} - {"README.md"}
    missing = {page for page in pages if page not in index and not page.startswith("decisions/")}
    assert not missing


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# Heading\nOne line.\n\nAnother.\n", []),
        ("One sentence\nthat goes on.\n", [2]),
        ("- an item\n  that goes on\n- another\n", [2]),
        ("> a quotation\n> that goes on\n", [2]),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n", []),
        ("Text:\n\n```\none\ntwo\n```\n\n<!-- a\ncomment -->\n", []),
        ("---\nname: Bug\nabout: x\n---\n\nText.\n", []),
    ],
)
def test_wrapped_prose_is_found(text: str, lines: list[int]):
    """Only lines that continue a sentence count: not code, tables, headings, comments or front matter."""
    assert wrapped_lines(text) == lines


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[here](README.md#no-such-heading)", "no heading #no-such-heading"),
        ("[here](CONTRIBUTING.md)", ""),
        ("# One `dance` word\n\n[above](#one-dance-word)", ""),
        ("# One\n\n# One\n\n[below](#one-1)", ""),
        ("[gone](docs/gone.md)", "docs/gone.md is not in the repository"),
        ("![gone](docs/images/gone.png)", "gone.png is not in the repository"),
        ("[outside](../elsewhere)", "not in the repository"),
        ("`[code](gone.md)` and [a site](https://example.org/gone.md)", ""),
    ],
)
def test_wrong_links_are_found(text: str, wrong: str):
    """A missing file, a missing heading and a path out of the repository are each reported."""
    assert [wrong in found for found in wrong_links(text, ROOT / "PAGE.md")] == [True] * bool(wrong)


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("dance transfer SOURCE --actor NAME -o OUT.mp4 --compare", ""),
        ("dance transfer clip.mp4 --actr me", "dance transfer has no option --actr"),
        ("dance tranfser clip.mp4", "dance has no command tranfser"),
        ("dance jobs watch me --patience=5 # comes back", ""),
        ("dance jobs wacth me", "dance jobs has no command wacth"),
        ("dance jobs watch me --gpus 1", "dance jobs watch has no option --gpus"),
        ("dance COMMAND --help", ""),
        ("dance --debug COMMAND", ""),
        ("cd x && FOO=1 dance actors canary me --percnt 3", "dance actors canary has no option --percnt"),
        ("python -m benchmarks.sessions --frames 100", ""),
        ("python -m benchmarks.sessions --fames 100", "python -m benchmarks.sessions has no option --fames"),
        ("python -m benchmarks.missing", "there is no module benchmarks.missing to run"),
        ("python -m training me.mp4 --actor me --publish-anyway", ""),
        ("python -m training.torchrun --standalone -m training me.mp4 --actr me", "has no option --actr"),
        ("python scripts/images.py build --engine podman", ""),
        ("python scripts/images.py build --motor podman", "scripts/images.py has no option --motor"),
        ("python scripts/missing.py", "there is no file scripts/missing.py"),
        ("bash scripts/missing.sh", "there is no file scripts/missing.sh"),
        ("make test-one T=tests/unit/test_readme.py", ""),
        ("make tset", "the Makefile has no target tset"),
        ("make soak HOURS=1", "the Makefile reads no variable HOURS"),
        ("pytest tests/missing -q", "there is no tests/missing"),
        ("kubectl apply -k overlays/missing", "there is no overlays/missing"),
        ("kubectl apply -k overlays/NAME", ""),
        ("--compare", ""),
        ("--comprae", "there is no option --comprae"),
    ],
)
def test_wrong_commands_are_found(command: str, wrong: str):
    """A missing command, option, module, target, variable and file are each reported; placeholders are not."""
    for text in (f"`{command}`", f"```\n{command}\n```"):
        found = wrong_commands(text)
        assert [wrong in one for one in found] == [True] * bool(wrong), found


def test_a_continued_line_is_one_command():
    """Options behind a backslash belong to the command of the line before."""
    assert wrong_commands("```\ndance train me.mp4 \\\n  --actor me --cnsent x\n```") == [
        "line 3: dance train has no option --cnsent"
    ]
