"""HTML from the Markdown that the reference pages are written in: headings, paragraphs, lists, tables, fenced
code, and in lines code, bold and links. Everything else is text. All text is escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

Link = Callable[[str], str | None]
"""The address that a link's target has on the page; None where it leads nowhere there, and is text alone."""

_INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*|\[(?P<text>(?:[^\]\[]|\[[^\]]*\])*)\]\((?P<to>[^)\s]+)\)"
)
_BLOCK = ("- ", "|", "```", "#")
_HEADING = re.compile(r"(#{1,6}) (.+)")
_RULE = re.compile(r"\|[-| ]+\|")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(slots=True)
class Rendered:
    """HTML, and the headings in it: (level, anchor, text)."""

    html: str = ""
    headings: list[tuple[int, str, str]] = field(default_factory=list)


def anchor(heading: str) -> str:
    """The anchor of a heading, as the usual forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def render(text: str, link: Link) -> Rendered:
    """The Markdown `text` as HTML."""
    found = Rendered()
    lines = text.splitlines()
    at = 0
    parts = []
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if heading := _HEADING.fullmatch(line):
            parts.append(_heading(heading, link, found))
        elif line.startswith("```"):
            end = lines.index("```", at + 1) + 1
            parts.append(f"<pre><code>{html.escape(chr(10).join(lines[at + 1 : end - 1]))}</code></pre>")
        elif line.startswith("|"):
            end = _while(lines, at, lambda each: each.startswith("|"))
            parts.append(_table(lines[at:end], link))
        elif line.startswith("- "):
            end = _while(lines, at, lambda each: each.startswith(("- ", "  ")))
            parts.append(_list(lines[at:end], link))
        elif line.strip():
            end = _while(lines, at, lambda each: bool(each.strip()) and not each.startswith(_BLOCK))
            parts.append(f"<p>{inline(' '.join(lines[at:end]), link)}</p>")
        at = end
    found.html = "\n".join(parts)
    return found


def inline(text: str, link: Link) -> str:
    """One line's text as HTML."""
    parts = []
    at = 0
    for match in _INLINE.finditer(text):
        parts.append(html.escape(text[at : match.start()]))
        if match["code"] is not None:
            parts.append(f"<code>{html.escape(match['code'])}</code>")
        elif match["bold"] is not None:
            parts.append(f"<strong>{inline(match['bold'], link)}</strong>")
        else:
            target = link(match["to"])
            words = inline(match["text"], link)
            parts.append(words if target is None else f'<a href="{html.escape(target)}">{words}</a>')
        at = match.end()
    parts.append(html.escape(text[at:]))
    return "".join(parts)


def _while(lines: list[str], at: int, holds: Callable[[str], bool]) -> int:
    end = at + 1
    while end < len(lines) and holds(lines[end]):
        end += 1
    return end


def _heading(match: re.Match[str], link: Link, found: Rendered) -> str:
    level, text = len(match[1]), match[2]
    name = base = anchor(text)
    number = 0
    while name in {each for _, each, _ in found.headings}:
        number += 1
        name = f"{base}-{number}"
    found.headings.append((level, name, text))
    return f'<h{level} id="{html.escape(name)}">{inline(text, link)}</h{level}>'


def _table(lines: list[str], link: Link) -> str:
    labels = [html.escape(cell.strip().replace("\\|", "|")) for cell in _CELL.split(lines[0].strip()[1:-1])]
    rows = [
        [inline(cell.strip().replace("\\|", "|"), link) for cell in _CELL.split(line.strip()[1:-1])]
        for line in lines
        if not _RULE.fullmatch(line)
    ]
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "\n".join(f"<tr>{_cells(labels, row)}</tr>" for row in rows[1:])
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    # Focusable, so that a keyboard can scroll what is wider than a phone.
    return f'<div class="wide" tabindex="0">{table}</div>'


def _cells(labels: list[str], row: list[str]) -> str:
    """Cells that know their column: where there is no room, a style shows them one below the other."""
    return "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in zip(labels, row, strict=True))


def _list(lines: list[str], link: Link) -> str:
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += f" {line.strip()}"
    return "<ul>\n" + "\n".join(f"<li>{inline(item, link)}</li>" for item in items) + "\n</ul>"
