"""The OpenAPI 3.1 description of the REST API, made from the tables: resources, codes, schemas, reference.

A resource that one of the tables lacks, or actions or fields that they disagree about, are a LookupError; a test
builds the document, so that nothing is served undescribed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cooee import __version__
from cooee.model.errors import (
    BAD_ACTION,
    BAD_JSON,
    BAD_METHOD,
    INTERNAL,
    NO_RESOURCE,
    SUSPENDED,
    TABLE,
    TOO_LARGE,
    TOO_MANY,
    UNAUTHORISED,
    UNAVAILABLE,
    Code,
)
from cooee.web.api import MAX_KEY, RESOURCES, Resource
from cooee.web.entries import ENTRIES, Entry, Example
from cooee.web.reference import message_of
from cooee.web.schemas import SCHEMAS, ActionSchema, ResourceSchema, Schema

_JSON = "application/json"
_ABOUT = """Sends messages to one or to a million recipients, and tells what became of them.

Names of fields and resources and the values of `Action` are taken in any case; fields that are not known are
ignored; `null` counts as absent. Every error has the body `{"Message": "…", "Code": -nnn}`, whatever its HTTP
status. `/docs` on the same server is the page for people."""

_EVERYWHERE = (UNAUTHORISED, SUSPENDED, TOO_MANY, INTERNAL, UNAVAILABLE)
_WITH_BODY = (BAD_JSON, TOO_LARGE)
_ELSEWHERE = (NO_RESOURCE, BAD_METHOD)
"""For paths and methods that are none of those described."""

_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}
_HEADERS: dict[Code, dict[str, Any]] = {
    UNAUTHORISED: {"WWW-Authenticate": {"description": "HTTP Basic.", "schema": {"type": "string"}}},
    TOO_MANY: _RETRY,
    UNAVAILABLE: _RETRY,
    BAD_METHOD: {"Allow": {"description": "Methods of the resource.", "schema": {"type": "string"}}},
}


def document(business_status: int = 200) -> dict[str, Any]:
    """The whole description. `business_status` is the setting `error_http_status`: 200 or 400."""
    schemas: dict[str, Schema] = {"Code": _codes(), "Error": _refused(TABLE[1:], "Any error.")}
    paths = {}
    for resource in RESOURCES:
        entry, schema = _entries(resource)
        path: dict[str, Any] = {"post": _post(resource, entry, schema, business_status, schemas)}
        if schema.get is not None:
            path["get"] = _get(entry, schema.get)
        paths[f"/api/{entry.title}"] = path
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cooee", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The account's name and password."}
            },
            "schemas": schemas,
            "responses": {str(code.http): _response(code) for code in (*_EVERYWHERE, *_WITH_BODY, *_ELSEWHERE)},
        },
    }


def _entries(resource: Resource) -> tuple[Entry, ResourceSchema]:
    """What the tables hold of a resource; LookupError where they do not agree."""
    name = resource.name
    if name not in SCHEMAS or name not in ENTRIES:
        raise LookupError(f"there is no schema or no entry of the reference for {name}")
    entry, schema = ENTRIES[name], SCHEMAS[name]
    documented = [field for field, _, _ in entry.fields]
    if sorted(documented) != sorted([*schema.fields, *([schema.action] if schema.action else [])]):
        raise LookupError(f"schema and reference differ about the fields of {name}")
    if set(schema.actions) != set(resource.actions or ("",)) or bool(schema.action) != bool(resource.actions):
        raise LookupError(f"schema and API differ about the actions of {name}")
    if (schema.get is None) != (resource.get is None):
        raise LookupError(f"schema and API differ about GET of {name}")
    used = {field for action in schema.actions.values() for field in (*action.required, *action.optional)}
    if used != set(schema.fields):
        raise LookupError(f"some fields of {name} belong to no action, or are not there")
    return entry, schema


# --- operations --------------------------------------------------------------------------------------------


def _post(
    resource: Resource, entry: Entry, schema: ResourceSchema, business_status: int, schemas: dict[str, Schema]
) -> dict[str, Any]:
    name = resource.name
    for action, each in schema.actions.items():
        schemas[_name(entry, action)] = _request(entry, schema, action, each)
        schemas[f"{_name(entry, action)}.answer"] = each.answer
    body = {
        "required": not resource.may_be_empty,
        "content": {_JSON: {"schema": _body(entry, schema), "examples": _requests(entry, schema)}},
    }
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": f"POST /api/{entry.title}",
        "description": entry.text,
        "requestBody": body,
        "responses": _responses(entry, schema, business_status, schemas),
    }
    if any(action.idempotent for action in schema.actions.values()):
        operation["parameters"] = [_idempotency_key(schema)]
    return operation


def _get(entry: Entry, answer: Schema) -> dict[str, Any]:
    example = {"answer": {"value": json.loads(entry.get)}}
    return {
        "operationId": f"{entry.title}.get",
        "summary": f"GET /api/{entry.title}",
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {_JSON: {"schema": answer, "examples": example}},
            },
            **_references(_EVERYWHERE),
        },
    }


def _name(entry: Entry, action: str) -> str:
    return f"{entry.title}.{action}" if action else entry.title


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(entry: Entry, schema: ResourceSchema) -> Schema:
    if not schema.action:
        return _reference(_name(entry, ""))
    names = {action: _reference(_name(entry, action)) for action in schema.actions}
    return {
        "oneOf": list(names.values()),
        "discriminator": {
            "propertyName": schema.action,
            "mapping": {action: reference["$ref"] for action, reference in names.items()},
        },
    }


def _request(entry: Entry, schema: ResourceSchema, action: str, each: ActionSchema) -> Schema:
    meanings = {field: f"{meaning} Takes {takes}." for field, takes, meaning in entry.fields}
    properties: dict[str, Schema] = {}
    if action:
        properties[schema.action] = {"const": action, "description": "What to do, in any case."}
    for field in (*each.required, *each.optional):
        given = schema.fields[field]
        if field in each.optional:
            kinds = given["type"] if isinstance(given["type"], list) else [given["type"]]
            given = {**given, "type": [*kinds, "null"]}
        properties[field] = {**given, "description": meanings[field]}
    required = [*([schema.action] if action else []), *each.required]
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = required
    return found


def _idempotency_key(schema: ResourceSchema) -> dict[str, Any]:
    readers = [f"`{name}`" for name, action in schema.actions.items() if action.idempotent]
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": f"Read by {' and '.join(readers)}, kept for 24 hours for each account. The same key with "
        "the same body gets the first answer and sends nothing; with another body: -911. Refusals are not kept.",
        "schema": {"type": "string", "maxLength": MAX_KEY},
        "example": "order-17",
    }


# --- answers -----------------------------------------------------------------------------------------------


def _responses(
    entry: Entry, schema: ResourceSchema, business_status: int, schemas: dict[str, Schema]
) -> dict[str, Any]:
    refusals = {code: None for action in schema.actions.values() for code in action.codes}
    codes = tuple(refusals) + ((BAD_ACTION,) if schema.action else ())
    good = [_reference(f"{_name(entry, action)}.answer") for action in schema.actions]
    plain = business_status == 200
    found = _references((*_EVERYWHERE, *_WITH_BODY))
    kinds = list(good)
    if codes:
        title = f"{entry.title}.refused"
        schemas[title] = _refused(codes, "Understood and refused.")
        if plain:
            kinds.append(_reference(title))
        else:
            found[str(business_status)] = {
                "description": f"{_list((BAD_JSON, *codes))}",
                "content": {_JSON: {"schema": {"anyOf": [_reference(title), _refused((BAD_JSON,), "No JSON.")]}}},
            }
    found["200"] = {
        "description": "The answer; Code 0, or none, means that the request was carried out."
        + (f" Refused with:\n\n{_list(codes)}" if codes and plain else ""),
        "content": {
            _JSON: {"schema": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}, "examples": _answers(entry)}
        },
    }
    return dict(sorted(found.items()))


def _references(codes: Sequence[Code]) -> dict[str, Any]:
    return {str(code.http): {"$ref": f"#/components/responses/{code.http}"} for code in codes}


def _response(code: Code) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _list((code,)),
        "content": {_JSON: {"schema": _refused((code,), message_of(code))}},
    }
    if code in _HEADERS:
        found["headers"] = _HEADERS[code]
    return found


def _refused(codes: Sequence[Code], description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": {"Message": {"type": "string"}, "Code": {"enum": [code.code for code in codes]}},
        "required": ["Message", "Code"],
        "additionalProperties": False,
    }


def _codes() -> Schema:
    return {
        "type": "integer",
        "description": "Every code of the API, and the HTTP status that it comes with.",
        "oneOf": [
            {
                "const": code.code,
                "title": message_of(code),
                "description": code.when,
                "x-http-status": code.http,
                "x-published": code.given,
            }
            for code in TABLE
        ],
    }


def _list(codes: Sequence[Code]) -> str:
    return "\n".join(f"- `{code.code}` {message_of(code)}: {code.when}" for code in codes)


# --- examples ----------------------------------------------------------------------------------------------


def _requests(entry: Entry, schema: ResourceSchema) -> dict[str, Any]:
    names = {field.lower(): field for field in (*schema.fields, schema.action)}
    return {
        key: {
            **_summary(example),
            "value": {names.get(name.lower(), name): value for name, value in json.loads(example.request).items()},
        }
        for key, example in _examples(entry).items()
    }


def _answers(entry: Entry) -> dict[str, Any]:
    return {
        key: {**_summary(example), "value": json.loads(example.answer)}
        for key, example in _examples(entry).items()
    }


def _examples(entry: Entry) -> dict[str, Example]:
    return {
        f"{action or 'example'}{number}": example
        for action, examples in entry.actions.items()
        for number, example in enumerate(examples, 1)
    }


def _summary(example: Example) -> dict[str, str]:
    return {"description": example.note} if example.note else {}
