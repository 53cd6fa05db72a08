"""The pages: their lines, their links, and every command that they show."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import typer

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = [
    folder
    for folder in sorted(ROOT.iterdir())
    if folder.is_dir()
    and folder.name not in ("out", "actors", "work", "evaluation")  # git ignores these
    and (not folder.name.startswith(".") or folder.name == ".github")
]
PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in folder.rglob("*.md"))]
)
_FENCE: Final = re.compile(r" *(```|~~~)")
_LIST_ITEM: Final = re.compile(r" *([-*+]|\d+[.)]) ")
_PLACEHOLDER: Final = re.compile(r"\.\.\.|<.*>|[A-Z][A-Z_:/|.]*(\.\.\.)?|[A-Z]")
_SHELL_WORDS: Final = {"do", "then", "else", "sudo", "time", "exec", "for", "while", "if", "done", "fi"}
_OURS: Final = (
    "benchmarks",
    "client",
    "orchestrator",
    "samples",
    "scripts",
    "services",
    "serving",
    "tests",
    "training",
)


# Reading Markdown


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
        starts_something = (
            not content or content.startswith(("#", "|", "<", "---")) or _LIST_ITEM.match(line) is not None
        )
        if not starts_something and previous and not previous.startswith(("#", "|", "<", "---")):
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
        targets = re.findall(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)", plain) + re.findall(
            r"^\[[^\]]+\]: +(\S+)", plain
        )
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


def commands(code: str) -> Iterator[list[str]]:
    """The simple commands of a line of shell, without comments, variables set before them, and words of the shell."""
    scanner = shlex.shlex(code, posix=True, punctuation_chars="|&;<>()")
    scanner.whitespace_split = True
    scanner.commenters = "#"
    try:
        tokens = list(scanner)
    except ValueError:  # a quotation that does not end: prose, not shell
        return
    words: list[str] = []
    for token in [*tokens, ";"]:
        if token and set(token) <= set("|&;()"):
            while words and (words[0] in _SHELL_WORDS or re.fullmatch(r"[A-Za-z_]\w*=.*", words[0])):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(token)


# Checking commands: each returns what is wrong, or "".


@cache
def _dance() -> Any:
    """The command line of `dance`, wherever its module takes it from."""
    found = vars(importlib.import_module("client.command_line")).values()
    return typer.main.get_command(next(value for value in found if isinstance(value, typer.Typer)))


def _every_command(command: Any) -> Iterator[Any]:
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from _every_command(one)


def check_dance(words: list[str]) -> str:
    """`dance SUB --option VALUE` against the options of that sub-command."""
    command, rest = _dance(), words[1:]
    path = "dance"
    allowed = [command]
    while rest:
        word = rest.pop(0).strip("[]")
        if word == "--":
            break
        subcommands = getattr(command, "commands", {})
        if word.startswith("-"):
            name = word.partition("=")[0]
            known = {opt: param for one in allowed for param in one.params for opt in param.opts + param.secondary_opts}
            if name not in known and name != "--help":
                return f"{path} has no option {name}"
            takes_a_value = name in known and not getattr(known[name], "is_flag", False) and "=" not in word
            if takes_a_value and rest and not rest[0].startswith("-"):
                rest.pop(0)
        elif word in subcommands:
            command, path = subcommands[word], f"{path} {word}"
            allowed = [command]
        elif subcommands and word in ("COMMAND", "..."):
            allowed = list(_every_command(command))
            command = None
        elif subcommands and not _PLACEHOLDER.fullmatch(word) and command is _dance():
            return f"{path} has no command {word}"
    return ""


@cache
def _source(module: str) -> str:
    """The source of one of our modules and of those of ours that it imports, "" for one that does not exist."""
    base = ROOT / module.replace(".", "/")
    path = next((p for p in (base.with_suffix(".py"), base / "__main__.py") if p.is_file()), None)
    if path is None:
        return ""
    text = path.read_text()
    imported = set(re.findall(r"^ *(?:from|import) ([\w.]+)", text, re.MULTILINE))
    files = [ROOT / f"{name.replace('.', '/')}.py" for name in sorted(imported)]
    return "\n".join([text, *(file.read_text() for file in files if file.is_file())])


def _missing_options(program: str, source: str, words: list[str]) -> str:
    for word in words:
        if word == "--":
            break
        name = word.strip("[]").partition("=")[0]
        declared = f'"{name}"' in source or re.search(rf"\b{name.strip('-').replace('-', '_')}: ", source)
        if re.match(r"--?[a-z]", name) and name != "--help" and not declared:
            return f"{program} has no option {name}"
    return ""


def check_python(words: list[str]) -> str:
    """`python -m MODULE --option` and `python FILE --option`: both exist, and the option is in their source."""
    if len(words) < 2 or _PLACEHOLDER.fullmatch(words[1]):
        return ""
    if words[1] != "-m":
        return "" if words[1].startswith("-") else check_file(words[1:])
    module, rest = words[2], words[3:]
    if not module.startswith(tuple(f"{package}." for package in _OURS)) and module not in _OURS:
        return "" if importlib.util.find_spec(module.partition(".")[0]) else f"there is no module {module}"
    if not (source := _source(module)):
        return f"there is no module {module} to run"
    if "-m" in rest:  # torchrun: its own options, then a module of ours
        return check_python(["python", *rest[rest.index("-m") :]])
    return _missing_options(f"python -m {module}", source, rest)


def check_file(words: list[str]) -> str:
    """`scripts/x --option`: the file exists, and the option is in it."""
    path = ROOT / words[0]
    if not path.is_file():
        return f"there is no file {words[0]}"
    return _missing_options(words[0], path.read_text(), words[1:]) if path.suffix == ".py" else ""


def check_make(words: list[str]) -> str:
    """`make TARGET VARIABLE=...`: the Makefile has both."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    for word in words[1:]:
        variable, assigned, _ = word.partition("=")
        if assigned and not re.search(rf"\b{variable}\b", makefile):
            return f"the Makefile reads no variable {variable}"
        if not assigned and word not in targets and not _PLACEHOLDER.fullmatch(word):
            return f"the Makefile has no target {word}"
    return ""


def check_pytest(words: list[str]) -> str:
    """`pytest PATH`: what it names exists."""
    missing = [word for word in words[1:] if word.startswith("tests") and not (ROOT / word.partition("::")[0]).exists()]
    return f"there is no {missing[0]}" if missing else ""


def check_kubectl(words: list[str]) -> str:
    """`kubectl -f FILE` and `-k FOLDER`: those of the repository exist."""
    for option, value in pairwise(words):
        inside = value.startswith(("deploy", "overlays")) and not any(map(_PLACEHOLDER.fullmatch, value.split("/")))
        if option in ("-f", "-k") and inside and not (ROOT / value).exists():
            return f"there is no {value}"
    return ""


CHECKS: Final[dict[str, Callable[[list[str]], str]]] = {
    "dance": check_dance,
    "python": check_python,
    "python3": check_python,
    "make": check_make,
    "pytest": check_pytest,
    "kubectl": check_kubectl,
}


def wrong_command(words: list[str]) -> str:
    """What is wrong with a command, "" where nothing is or where it is not one of those that are checked."""
    program = words[0].removeprefix(".venv/bin/")
    if program in CHECKS:
        return CHECKS[program]([program, *words[1:]])
    if program in ("bash", "sh") and len(words) > 1:
        words = words[1:]
    return check_file(words) if words[0].startswith(("scripts/", ".ci/")) and len(Path(words[0]).parts) > 1 else ""


def wrong_commands(text: str) -> list[str]:
    """What is wrong with the commands of a page, with their lines."""
    return [
        f"line {number}: {wrong}"
        for number, code in code_lines(text)
        for words in commands(code)
        if (wrong := wrong_command(words))
    ]


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


# The tests


@pytest.mark.parametrize("page", PAGES)
def test_a_paragraph_is_one_line(page: str):
    """Prose is not wrapped: a paragraph, or a list item, is one line, so that a change shows as the sentence it is."""
    lines = wrapped_lines((ROOT / page).read_text())
    assert not lines, f"{page} continues a paragraph on line(s) {', '.join(map(str, lines))}; join them"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    """Every relative link names a file of the repository, and every anchor a heading."""
    wrong = wrong_links((ROOT / page).read_text(), ROOT / page)
    assert not wrong, f"{page}, {'; '.join(wrong)}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page: str):
    """Every command that a page shows exists, with its options."""
    wrong = wrong_commands((ROOT / page).read_text())
    assert not wrong, f"{page}, {'; '.join(wrong)}"


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_code_exist(page: str):
    """A path such as `motion/labelmap.py` in a code span is a file, from the root or from the page's folder."""
    text = (ROOT / page).read_text()
    spans = [(number, span) for number, line in prose(text) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", line)]
    paths = [(number, span) for number, span in spans if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(py|proto|yaml|sh)", span)]
    missing = [
        f"line {number}: {path}"
        for number, path in paths
        if not any((folder / path).exists() for folder in (ROOT, (ROOT / page).parent))
    ]
    assert not missing, f"{page}, {'; '.join(missing)}"


def test_the_source_names_pages_that_exist():
    """Every `docs/...md` in code, manifests and scripts is a page, and its anchor a heading."""
    missing = []
    kinds = {".py", ".yaml", ".yml", ".proto", ".sh", ".toml", ".hcl", ""}
    folders = [folder for folder in FOLDERS if folder.name not in ("docs", "tests")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix in kinds]
    files += [ROOT / "Makefile", ROOT / "compose.yaml", ROOT / "docker-bake.hcl"]
    for file in files:
        for page, anchor in re.findall(r"\bdocs/([\w./-]+\.md)(?:#([\w-]+))?", file.read_text()):
            there = ROOT / "docs" / page
            if not there.is_file() or (anchor and anchor not in anchors(there.read_text())):
                missing.append(f"{file.relative_to(ROOT)}: docs/{page}{anchor and '#' + anchor}")
    assert not missing


def test_the_index_has_every_page():
    """docs/README.md links every page in docs/, directly or by the front page of its folder."""
    index = {target.partition("#")[0] for _, target in links((ROOT / "docs" / "README.md").read_text())}
    fronts = {path for path in index if path.endswith("README.md")}
    for front in fronts:
        inner = links((ROOT / "docs" / front).read_text())
        index |= {str(Path(front).parent / target.partition("#")[0]) for _, target in inner}
    pages = {path.removeprefix("docs/") for path in PAGES if path.startswith("docs/")} - {"README.md"}
    missing = {page for page in pages if page not in index and not page.startswith("decisions/")}
    assert not missing


# The checks themselves


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
