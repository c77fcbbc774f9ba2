"""Answers held against the description that the server gives of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from cooee.model.errors import TABLE

STATUS = {code.code: code.http for code in TABLE}


class Description:
    """/openapi.json of a server. `check` fails for an answer that is not as described."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[tuple[str, str, str], Any] = {}
        self._paths = {path.lower(): path for path in document["paths"]}

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> int | None:
        """Status, headers and body of an answer to a described operation; its Code, if it has one."""
        assert status < 500, (status, body[:300])
        names = {name.lower(): value for name, value in headers.items()}
        assert names["content-type"] == "application/json"
        assert names["x-content-type-options"] == "nosniff"
        described = self.document["paths"][self._paths[path.lower().rstrip("/")]]
        if method.lower() not in described:
            assert status == 405
            assert set(names["allow"].lower().split(", ")) == set(described)
            return None
        assert names["content-length"] == str(len(body))
        validator = self._validator(method.lower(), self._paths[path.lower().rstrip("/")], str(status))
        value = json.loads(body)
        errors = [error.message for error in validator.iter_errors(value)]
        assert not errors, (status, body[:500], errors[:3])
        code = value.get("Code")
        assert code is None or STATUS[code] == status, body
        if status == 401:
            assert names["www-authenticate"].startswith("Basic ")
        return code if code is None else int(code)

    def _validator(self, method: str, path: str, status: str) -> Any:
        key = (method, path, status)
        if key not in self._validators:
            responses = self.document["paths"][path][method]["responses"]
            assert status in responses, f"{method} {path} answered {status}, which is not described"
            response = responses[status]
            if "$ref" in response:
                response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            schema = response["content"]["application/json"]["schema"]
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                {**schema, "components": self.document["components"]}
            )
        return self._validators[key]
