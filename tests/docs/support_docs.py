"""The pages, and what is in them: headings, links, fenced blocks, command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = tuple(sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_ENDS = ("|", "&", "&&", ";")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block and its language."""

    page: Path
    language: str
    text: str


def read(name: str) -> str:
    """A page under docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    for found in _FENCE.finditer(page.read_text(encoding="utf-8")):
        yield Block(page, found[1], found[2])


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors that headings make, as on the usual forges."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(page)))
    return {text.replace(" ", "-") for text in kept}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `cooee` call in a shell block, also behind a pipe."""
    for line in text.replace("\\\n", " ").splitlines():
        if "cooee" not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        words = list(lexer)
        for start, word in enumerate(words):
            if word == "cooee" and (start == 0 or words[start - 1] in _ENDS):
                end = next((at for at in range(start, len(words)) if words[at] in _ENDS), len(words))
                yield words[start + 1 : end]
