"""The OpenAPI description: valid, complete, and true of the examples."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from cooee.model.errors import TABLE, Code
from cooee.web import openapi
from cooee.web.api import RESOURCES, Resource
from cooee.web.entries import ENTRIES
from cooee.web.markdown import anchor, render
from cooee.web.schemas import SCHEMAS, ActionSchema, ResourceSchema

DOCUMENT = openapi.document()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


def resolved(schema: dict[str, Any], document: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    """A schema that a validator can be given by itself."""
    return {**schema, "components": document["components"]}


def valid(schema: dict[str, Any], value: object) -> bool:
    return jsonschema_rs.Draft202012Validator(resolved(schema)).is_valid(value)


def content(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part["content"]["application/json"]
    return found


def operation(resource: Resource, method: str = "post") -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][f"/api/{ENTRIES[resource.name].title}"][method]
    return found


def references(value: object) -> set[str]:
    match value:
        case dict():
            inner = {found for each in value.values() for found in references(each)}
            return inner | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())
        case list():
            return {found for each in value for found in references(each)}
        case _:
            return set()


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    found = references(DOCUMENT)
    assert len(found) > 10
    for reference in found:
        at: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert re.fullmatch(r"[\w.-]+", name)
        jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_resource_action_and_field_is_described(resource: Resource) -> None:
    described = operation(resource)
    schema = SCHEMAS[resource.name]
    body = content(described["requestBody"])["schema"]
    names = {field for field, _, _ in ENTRIES[resource.name].fields}
    seen: set[str] = set()
    if resource.actions:
        mapping = body["discriminator"]["mapping"]
        assert set(mapping) == set(resource.actions)
        assert [each["$ref"] for each in body["oneOf"]] == list(mapping.values())
        for action, reference in mapping.items():
            part = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
            assert part["properties"][body["discriminator"]["propertyName"]]["const"] == action
            seen |= set(part["properties"])
    else:
        seen = set(DOCUMENT["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"])
    assert seen == names
    assert described["requestBody"]["required"] != resource.may_be_empty
    assert ("get" in DOCUMENT["paths"][f"/api/{ENTRIES[resource.name].title}"]) == (resource.get is not None)
    assert set(schema.actions) == set(resource.actions or ("",))


@pytest.mark.parametrize("code", TABLE, ids=lambda code: str(code.code))
def test_every_code_and_its_status_are_described(code: Code) -> None:
    (listed,) = [each for each in DOCUMENT["components"]["schemas"]["Code"]["oneOf"] if each["const"] == code.code]
    assert (listed["x-http-status"], listed["x-published"], listed["description"]) == (
        code.http,
        code.given,
        code.when,
    )
    if code.business and code.code:
        said = [name for name, each in OPERATIONS if f"`{code.code}`" in each["responses"]["200"]["description"]]
        assert said
    elif not code.business:
        response = DOCUMENT["components"]["responses"][str(code.http)]
        assert valid(content(response)["schema"], {"Message": "x", "Code": code.code})
        assert not valid(content(response)["schema"], {"Message": "x", "Code": 0})


@pytest.mark.parametrize(
    ("name", "described"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_operation_says_what_it_may_answer(name: str, described: dict[str, Any]) -> None:
    with_body = {"400", "413"} if name.startswith("POST") else set()
    assert set(described["responses"]) == {"200", "401", "403", "429", "500", "503", *with_body}
    assert DOCUMENT["security"] == [{"basic": []}]


@pytest.mark.parametrize(
    ("name", "described"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_examples_are_as_the_schemas_say(name: str, described: dict[str, Any]) -> None:
    answer = content(described["responses"]["200"])
    assert answer["examples"]
    for example in answer["examples"].values():
        assert valid(answer["schema"], example["value"]), example
    if "requestBody" in described:
        asked = content(described["requestBody"])
        assert set(asked["examples"]) == set(answer["examples"])
        for example in asked["examples"].values():
            assert valid(asked["schema"], example["value"]), example


def test_the_idempotency_key_belongs_to_creating() -> None:
    for resource in RESOURCES:
        headers = [each["name"] for each in operation(resource).get("parameters", ())]
        assert headers == (["Idempotency-Key"] if resource.name == "campaign" else [])


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ({"Action": "status", "CampaignId": 1}, True),
        ({"Action": "status", "CampaignId": "1", "Unknown": []}, True),
        ({"Action": "status"}, False),
        ({"Action": "status", "CampaignId": None}, False),
        ({"Action": "status", "CampaignId": 1.5}, False),
        ({"Action": "nonsense", "CampaignId": 1}, False),
        ({"CampaignId": 1}, False),
        ({"Action": "create", "Message": "x", "Originator": 61400, "Destinations": "1,2", "CrmIds": None}, True),
        ({"Action": "create", "Message": "x" * 2001, "Originator": "X"}, False),
        ({"Action": "create", "Message": "x", "Originator": "X", "TimeScheduled": "tomorrow"}, False),
        ([], False),
    ],
)
def test_what_a_request_may_be(value: object, fine: bool) -> None:
    assert valid(content(DOCUMENT["paths"]["/api/campaign"]["post"]["requestBody"])["schema"], value) is fine


def test_refusals_move_to_400_where_the_operator_says_so() -> None:
    document = openapi.document(400)
    responses = document["paths"]["/api/campaign"]["post"]["responses"]

    def fits(status: str, value: object) -> bool:
        schema = resolved(content(responses[status])["schema"], document)
        return jsonschema_rs.Draft202012Validator(schema).is_valid(value)

    for code in (-202, -910, -900):
        assert fits("400", {"Message": "x", "Code": code})
        assert not fits("200", {"Message": "x", "Code": code})
    assert not fits("400", {"Message": "x", "Code": -130})
    assert "`-202`" in responses["400"]["description"]
    assert "-202" not in responses["200"]["description"]


def test_a_table_that_lacks_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SCHEMAS["credits"]
    broken: list[ResourceSchema | None] = [
        None,
        ResourceSchema({**whole.fields, "more": {}}, whole.actions, whole.action, whole.get),
        ResourceSchema(whole.fields, {**whole.actions, "more": ActionSchema({})}, whole.action, whole.get),
        ResourceSchema(whole.fields, whole.actions, whole.action),
        ResourceSchema(whole.fields, {"add": ActionSchema({})}, whole.action, whole.get),
    ]
    for each in broken:
        with monkeypatch.context() as patched:
            if each is None:
                patched.delitem(SCHEMAS, "credits")
            else:
                patched.setitem(SCHEMAS, "credits", each)
            with pytest.raises(LookupError, match="credits"):
                openapi.document()


def test_the_document_is_made_of_plain_json() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


# --- Markdown ----------------------------------------------------------------------------------------------


def test_markdown_becomes_html() -> None:
    text = """# A `b` & <c>

One **two**
three [four](#x) [five](gone.md).

- six
  seven
- eight

| a | b\\|c |
|---|---|
| 1 | `2` |

```json
{"<": 1}

- no list
```
## A b
## A b"""
    made = render(text, lambda target: None if target == "gone.md" else target)
    assert made.html == (
        '<h1 id="a-b--c">A <code>b</code> &amp; &lt;c&gt;</h1>\n'
        '<p>One <strong>two</strong> three <a href="#x">four</a> five.</p>\n'
        "<ul>\n<li>six seven</li>\n<li>eight</li>\n</ul>\n"
        '<div class="wide" tabindex="0"><table><thead><tr><th>a</th><th>b|c</th></tr></thead>\n<tbody>\n'
        '<tr><td data-label="a">1</td><td data-label="b|c"><code>2</code></td></tr>\n</tbody></table></div>\n'
        "<pre><code>{&quot;&lt;&quot;: 1}\n\n- no list</code></pre>\n"
        '<h2 id="a-b">A b</h2>\n'
        '<h2 id="a-b-1">A b</h2>'
    )
    assert [name for _, name, _ in made.headings] == ["a-b--c", "a-b", "a-b-1"]
    assert anchor("POST /api/DRStatus") == "post-apidrstatus"
