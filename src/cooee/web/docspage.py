"""The page /docs: the reference of docs/api.md as HTML, with schemas and the codes of messages, in one document.

It needs no network: its style is in it, there is no script, no font and no picture, and its
Content-Security-Policy allows nothing but that style.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

from cooee.model.codetable import CodeTable
from cooee.web import messagecodes, reference
from cooee.web.api import RESOURCES, Resource
from cooee.web.entries import ENTRIES
from cooee.web.markdown import render

STYLE = files("cooee.web").joinpath("docs.css").read_text(encoding="utf-8")

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy that the page is served with."""

_HERE = {"api.md": "", "message-codes.md": "#codes-of-messages"}
"""Pages that are a part of this one."""


def page(document: dict[str, Any], codes: CodeTable) -> str:
    """The page, from the OpenAPI description of this node and its names for the codes of messages."""
    sections = []
    for resource in RESOURCES:
        sections += [reference.section(resource), f"{_MARK}{resource.name}"]
    text = "\n\n".join(
        [
            "# REST API",
            reference.TOP.rstrip(),
            *sections,
            "## Codes",
            reference.codes_table(),
            "## Codes of messages",
            messagecodes.INTRODUCTION,
            *messagecodes.tables(codes, "###"),
            reference.OURS.rstrip(),
        ]
    )
    made = render(text, _link)
    body = made.html
    for resource in RESOURCES:
        body = body.replace(f"<p>{_MARK}{resource.name}</p>", _schemas(document, resource), 1)
    links = "\n".join(
        f'<li><a href="#{html.escape(name)}">{html.escape(title)}</a></li>'
        for level, name, title in made.headings
        if level == 2
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>REST API · Cooee</title>
<style>{STYLE}</style>
</head>
<body>
<nav aria-label="Contents">
<p><strong>Cooee</strong> {html.escape(document["info"]["version"])} · <a href="/openapi.json">openapi.json</a></p>
<ul>
{links}
</ul>
</nav>
<main>
{body}
</main>
</body>
</html>
"""


_MARK = "schemas of "


def _link(target: str) -> str | None:
    name, _, anchor = target.partition("#")
    if "://" in target:
        return None
    if not name or name == "api.md":
        return f"#{anchor}"
    return _HERE.get(name)


def _schemas(document: dict[str, Any], resource: Resource) -> str:
    """The schemas of a resource, folded up."""
    title = ENTRIES[resource.name].title
    parts = []
    for name, schema in document["components"]["schemas"].items():
        if name == title or name.startswith(f"{title}."):
            shown = html.escape(json.dumps(schema, indent=2, ensure_ascii=False))
            parts.append(
                f"<details><summary>Schema <code>{html.escape(name)}</code></summary>"
                f"<pre><code>{shown}</code></pre></details>"
            )
    return "\n".join(parts)
