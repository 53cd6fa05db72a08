"""Checks the commands that the documentation shows against the programs that they run."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import typer

from client.commands.app import app
from tests.unit.markdown import FOLDERS, ROOT, code_lines

_PLACEHOLDER: Final = re.compile(r"\.\.\.|<.*>|[A-Z][A-Z_:/|.]*(\.\.\.)?|[A-Z]")
_SHELL_WORDS: Final = {"do", "then", "else", "sudo", "time", "exec", "for", "while", "if", "done", "fi"}
_OURS: Final = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"scripts", "tests"}
"""Packages with modules that `python -m` runs."""


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


# Each check returns what is wrong, or "".


_DANCE: Final[Any] = typer.main.get_command(app)


def _every_command(command: Any) -> Iterator[Any]:
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from _every_command(one)


def check_dance(words: list[str]) -> str:
    """`dance SUB --option VALUE` against the options of that sub-command."""
    command, rest = _DANCE, words[1:]
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
        elif subcommands and not _PLACEHOLDER.fullmatch(word):
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
    if module.partition(".")[0] not in _OURS:
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


@cache
def _known_options() -> set[str]:
    """Every option of `dance`, and those that our source, scripts and manifests mention."""
    folders = [folder for folder in FOLDERS if folder.name not in ("docs", "tests")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".sh", ".yaml", "")]
    found = {option for file in files if file.is_file() for option in re.findall(r"--[a-z][a-z_-]+", file.read_text())}
    found |= {option for command in _every_command(_DANCE) for param in command.params for option in param.opts}
    return found | {"--shutdown-timeout"}  # torchrun's


def check_bare_option(words: list[str]) -> str:
    """`--option` alone: some command of ours has it, or passes it on."""
    name = words[0].partition("=")[0]
    return "" if name in _known_options() else f"there is no option {name}"


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
    """Return the error in a command; "" if it has none, or if its kind of command is not checked."""
    program = words[0].removeprefix(".venv/bin/")
    if re.match("--[a-z]", program):
        return check_bare_option(words)
    if program in CHECKS:
        return CHECKS[program]([program, *words[1:]])
    if program in ("bash", "sh") and len(words) > 1:
        words = words[1:]
    return check_file(words) if words[0].startswith(("scripts/", ".ci/")) and len(Path(words[0]).parts) > 1 else ""


def wrong_commands(text: str) -> list[str]:
    """Return the errors in a page's commands, with their lines."""
    return [
        f"line {number}: {wrong}"
        for number, code in code_lines(text)
        for words in commands(code)
        if (wrong := wrong_command(words))
    ]
