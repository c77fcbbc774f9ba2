"""What the API says of itself held against what it does: requests made from /openapi.json, valid and not, and
bodies that are none. No 5xx, no status and no answer that is not described.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.config import GenerationConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from cooee.web import openapi
from cooee.web.api import RESOURCES
from cooee.web.entries import ENTRIES
from tests.api.support_api import Client, Server, basic
from tests.api.support_openapi import Description

DOCUMENT = openapi.document()
SCHEMA = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)}
assert len(OPERATIONS) == len(DOCUMENT["paths"]) + 1
GENERATION = GenerationConfig(with_security_parameters=False, deterministic=True)
SCHEMA.config.generation = GENERATION
"""Logins have their tests of their own; here every request has a right one."""

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.allow_header_conformance,
]
SEARCH = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


POLL_S = 61
"""So much later comes each request: else polls for replies would only ever be too many."""


class Caller:
    """One account that may do everything and one that may do little, with something to ask for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.rich = server.account(credits=10**9, may_add_credits=True, allow_international=True)
        self.poor = server.account(credits=1, allow_unicode=False, allow_long=False)
        self.session = requests.Session()
        self.described = Description(json.loads(self.rich.call("GET", "/openapi.json", login=None).body))
        assert self.described.document == DOCUMENT
        self.answers: set[tuple[str, int | None]] = set()
        self.ids = [self.rich.create(TimeScheduled="203708301300").json["CampaignId"] for _ in range(3)]

    def call(self, case: Case[Any], client: Client) -> None:
        """Sends a case, and holds the answer against the description, both ours and the tool's."""
        self.server.clock.advance(POLL_S)
        headers = {"Authorization": basic(client.name)}
        response = case.call(
            base_url=f"http://127.0.0.1:{self.server.port}", session=self.session, headers=headers, timeout=20
        )
        raw: Any = response
        body: bytes = raw.content
        found = {name: values[0] for name, values in raw.headers.items()}
        code = self.described.check(str(case.method), str(case.path), raw.status_code, found, body)
        self.answers.add((str(case.path), code))
        case.validate_response(response, checks=CHECKS)


@pytest.fixture(scope="module")
def caller(server: Server) -> Iterator[Caller]:
    made = Caller(server)
    yield made
    made.session.close()


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_corner_of_the_schemas(caller: Caller, label: str) -> None:
    """Each keyword of each schema kept and broken, one at a time; and methods that there are not."""
    cases = SCHEMA.iter_coverage_cases(
        OPERATIONS[label], generation_modes=list(GenerationMode), generation_config=GENERATION
    )
    count = 0
    for case in itertools.islice(cases, 600):
        caller.call(case, caller.rich)
        count += 1
    assert count


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", [label for label in OPERATIONS if label.startswith("POST")])
def test_requests_from_the_schemas(caller: Caller, label: str, mode: GenerationMode) -> None:
    @SEARCH
    @given(st.data())
    def search(data: st.DataObject) -> None:
        case = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
        # Ids that are there: no search would find them.
        if isinstance(case.body, dict) and "CampaignId" in case.body and data.draw(st.booleans()):
            case.body["CampaignId"] = data.draw(st.sampled_from(caller.ids))
        caller.call(case, data.draw(st.sampled_from([caller.rich, caller.poor])))

    search()


BODIES = [
    example.request.encode() for entry in ENTRIES.values() for each in entry.actions.values() for example in each
]
NAMES = sorted({name for body in BODIES for name in json.loads(body)} | {"CrmIds", "Destination", "x"})
ODD = st.sampled_from(
    [
        b"", b" ", b"null", b"[]", b'"x"', b"0", b"{", b"{}", b"\xef\xbb\xbf{}", b"\xff\xfe", b"{\"Action\":}",
        b'{"Action":"create","Message":"\\ud800","Originator":"X","Destinations":["61400123456"]}',
        b'{"Action":"create","Message":"\\u0000","Originator":"X","Destinations":["61400123456"]}',
        b'{"Action":"status","CampaignId":1e400}', b'{"Action":"status","CampaignId":' + b"9" * 5000 + b"}",
        b'{"Action":"status","CampaignId":-0}', b'{"Action":"status","campaignid":1,"CAMPAIGNID":null}',
        b'{"Action":' * 3000, b"[" * 100_000, b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"Action":"create","Destinations":[[[]],{},null,true,1.5,"\\u0000"],"Message":"x","Originator":"X"}',
        b'{"Action":"add","credits":9007199254740993}', b'{"action":"add","credits":"1","ACTION":"\xc3\x28"}',
        b'{"Action":"create","TimeScheduled":999999999999,"Message":"x","Originator":"X","Destinations":"1"}',
    ]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from(["create", "status", "MODIFY", "delete", "unpause", "add", "61400123456", 0, -1, 2**64]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


def mutated(body: bytes, at: int, octets: bytes, cut: bool) -> bytes:
    """A valid body with something done to it."""
    place = at % (len(body) + 1)
    return body[:place] + octets + (b"" if cut else body[place + len(octets) :])


HOSTILE = st.one_of(
    ODD,
    st.binary(max_size=200),
    st.builds(mutated, st.sampled_from(BODIES), st.integers(0, 500), st.binary(max_size=4), st.booleans()),
    st.dictionaries(st.sampled_from(NAMES).map(lambda name: name.upper()), VALUES, max_size=8).map(
        lambda value: json.dumps(value).encode()
    ),
)
TYPES = st.sampled_from(
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "x/y; charset=utf-16"]
)


@pytest.mark.parametrize("name", [resource.name for resource in RESOURCES])
def test_bodies_that_are_none(caller: Caller, name: str) -> None:
    path = f"/api/{ENTRIES[name].title}"

    @settings(SEARCH, max_examples=300)
    @given(HOSTILE, TYPES, st.text(st.characters(max_codepoint=255, blacklist_categories=["Cc"]), max_size=300))
    def search(body: bytes, kind: str, key: str) -> None:
        headers = {"Content-Type": kind, "Idempotency-Key": key.strip()}
        caller.server.clock.advance(POLL_S)
        answer = caller.rich.call("POST", path, body, {k: v for k, v in headers.items() if v})
        caller.described.check("POST", path, answer.status, answer.headers, answer.body)

    search()


def test_the_requests_reached_what_they_were_to_reach(caller: Caller) -> None:
    """A run that only ever met the first check would prove little."""
    reached = {code for path, code in caller.answers if path == "/api/campaign"}
    assert {0, -930, -931, -111, -910, -911} <= reached, reached
    assert {code for path, code in caller.answers if path == "/api/credits"} >= {0, -129, -130, -910}
    assert {code for path, code in caller.answers if path == "/api/replies"} >= {None, -911, -950}
    assert {code for path, code in caller.answers if path == "/api/optouts"} >= {None, 0, -910, -911, -942}


@pytest.mark.parametrize(
    ("method", "status", "body"),
    [
        ("POST", 200, {"Credits": 1, "Code": 0, "More": 1}),
        ("POST", 200, {"Credits": -1, "Code": 0}),
        ("POST", 200, {"Credits": 1}),
        ("POST", 200, {"Message": "x", "Code": -202}),
        ("POST", 200, {"Message": "x", "Code": -900}),
        ("POST", 401, {"Message": "x", "Code": -901}),
        ("POST", 404, {"Message": "x", "Code": -904}),
        ("POST", 500, {"Message": "x", "Code": -990}),
        ("GET", 400, {"Message": "x", "Code": -900}),
        ("PUT", 200, {"Credits": 1, "Code": 0}),
        ("POST", 200, []),
    ],
)
def test_what_is_not_as_described_is_noticed(method: str, status: int, body: object) -> None:
    """The harness itself: each of these is wrong in one thing."""
    raw = json.dumps(body).encode()
    headers = {
        "content-type": "application/json", "x-content-type-options": "nosniff", "content-length": str(len(raw)),
        "allow": "GET, POST",
    }  # fmt: skip
    described = Description(DOCUMENT)
    fine = b'{"Credits":1,"Code":0}'
    described.check("POST", "/api/credits/", 200, {**headers, "content-length": str(len(fine))}, fine)
    with pytest.raises((AssertionError, KeyError, AttributeError)):
        described.check(method, "/api/credits", status, headers, raw)
