"""GET /openapi.json and /docs: there without a login and without a network, and nothing foreign in them."""

from __future__ import annotations

import ast
import base64
import hashlib
import itertools
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from cooee.model.codetable import Source, parse_codes
from cooee.web.api import RESOURCES
from cooee.web.documents import Documents
from tests.api.support_api import Server

VOID = {"meta", "br", "hr", "link", "img", "input"}


class Tree(HTMLParser):
    """Every tag with its attributes, and whether all were closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def every(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


def page_of(server: Server) -> str:
    answer = server.account().call("GET", "/docs", login=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.body.decode()


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/openapi.json"])
def test_both_are_there_without_a_login(server: Server, path: str) -> None:
    client = server.account()
    first = client.call("GET", path, login=None)
    assert first.status == 200
    assert first.headers["x-content-type-options"] == "nosniff"
    assert client.call("GET", path).body == first.body
    head = client.call("HEAD", path, login=None)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(first.body))
    for method in ("POST", "PUT", "DELETE"):
        refused = client.call(method, path, b"{}")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


def test_the_description_is_json(server: Server) -> None:
    answer = server.account().call("GET", "/openapi.json", login=None)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["openapi"] == "3.1.0"
    assert len(answer.json["paths"]) == len(RESOURCES)


def test_the_page_is_well_formed_and_its_links_lead_somewhere(server: Server) -> None:
    tree = Tree(page_of(server))
    assert tree.open == []
    names = [attrs["id"] for _, attrs in tree.tags if "id" in attrs]
    assert len(names) == len(set(names))
    links = tree.every("a", "href")
    assert len(links) > 15
    for link in links:
        assert link == "/openapi.json" or link[1:] in names, link
    assert {"codes", "codes-of-messages", "post-apicampaign", "post-apidrstatus"} <= set(names)
    levels = [int(tag[1]) for tag, _ in tree.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_page_asks_nobody_for_anything(server: Server) -> None:
    tree = Tree(page_of(server))
    assert {tag for tag, _ in tree.tags} <= {
        "html", "head", "meta", "title", "style", "body", "nav", "main", "p", "strong", "a", "ul", "li", "h1",
        "h2", "h3", "pre", "code", "div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
    }  # fmt: skip
    attributes = {name for _, attrs in tree.tags for name in attrs}
    assert attributes == {
        "lang", "charset", "name", "content", "id", "class", "href", "tabindex", "aria-label", "data-label"
    }  # fmt: skip
    (style,) = re.findall("<style>(.*?)</style>", page_of(server), re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert tree.every("meta", "content")[0] == "width=device-width, initial-scale=1"


def test_the_policy_allows_the_pages_own_style_alone(server: Server) -> None:
    answer = server.account().call("GET", "/docs", login=None)
    (style,) = re.findall("<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_has_every_resource_code_and_example(server: Server) -> None:
    page = page_of(server)
    for resource in RESOURCES:
        assert f'id="post-api{resource.name}"' in page.lower()
        for action in resource.actions or ():
            assert re.search(rf'<h3 id="{action}(-\d+)?">{action}</h3>', page), action
    assert ">-202</td>" in page
    assert "<summary>Schema <code>campaign.create</code></summary>" in page
    assert "&quot;Message&quot;: &quot;Hello, this is a test&quot;" in page


def test_names_of_an_operators_own_are_shown_and_escaped(server: Server) -> None:
    codes = parse_codes('[receipt]\n4711 = { permanent = "<script>|x| & co" }\n', "F")
    description, page, _ = Documents(codes, 200)._make()
    assert b"<script" not in page
    assert "4711</td>" in page.decode()
    assert "&lt;script&gt;|x| &amp; co</td>" in page.decode()
    assert codes.find(4711, Source.RECEIPT)
    assert b"4711" not in description


def test_they_are_made_when_they_are_asked_for() -> None:
    """An idle node holds neither them nor what makes them."""
    code = "import sys, cooee.app.node; print([n for n in sys.modules if n.startswith('cooee.web.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert "cooee.web.documents" in loaded
    assert not {"cooee.web.docspage", "cooee.web.openapi", "cooee.web.reference", "cooee.web.schemas"} & set(
        loaded
    )
