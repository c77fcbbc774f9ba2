"""What holds for every resource: paths, methods, sizes, JSON, errors, CORS, and the pages beside /api."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from cooee.model.errors import TABLE, ApiError, CommitUnknown, StoreUnavailable
from cooee.web.api import RESOURCES, ApiSettings
from tests.api.support_api import Client, Server, basic

PATHS = [
    "/api/campaign",
    "/api/crm",
    "/api/DRStatus",
    "/api/RetrieveUserSettings",
    "/api/credits",
    "/api/replies",
    "/api/optouts",
]


class Faulty:
    """Campaigns that fail as told."""

    def __init__(self) -> None:
        self.error: Exception = RuntimeError("never seen: Hello secret")

    async def status(self, *_: object) -> str:
        raise self.error


FAULTY = Faulty()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A small server whose campaigns fail."""
    url = f"sqlite:///{tmp_path_factory.mktemp('transport') / 'cooee.db'}"
    settings = ApiSettings(body_limit=300_000, error_http_status=400, cors_origins=("https://shop.example",))
    with Server(url, settings, wrap=lambda _: FAULTY, readiness=lambda: (False, {"carriers": "none"})) as running:
        yield running


@pytest.fixture(scope="module")
def client(plain: Server) -> Client:
    return plain.account()


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/campaigns", "/api/campaign/x", "/api/campaign//", "/API/x"]
)
def test_unknown_paths(client: Client, path: str) -> None:
    answer = client.post(path, {}, login=None)
    assert answer.status == 404
    assert answer.json == {"Message": "No such resource", "Code": -904}


def test_outside_of_api(client: Client) -> None:
    answer = client.call("GET", "/", login=None)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_methods(client: Client, path: str, method: str) -> None:
    if (path, method) == ("/api/credits", "GET"):
        assert client.call(method, path).json == {"Credits": 1000, "Code": 0}
        return
    answer = client.call(method, path, login=None)
    assert (answer.status, answer.code) == (405, -905)
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("path", PATHS)
def test_login_is_needed(client: Client, path: str) -> None:
    for login in (None, "Basic", "Basic !!!", "Bearer abc", "Basic " + base64.b64encode(b"nocolon").decode()):
        answer = client.post(path, b"{", login=login)
        assert (answer.status, answer.code) == (401, -901)
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert answer.json["Message"] == "Authentication failed"


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nonsense", b"{'a': 1}", b'{"a": 01}', b'{"a" 1}', b'{"a": "\x01"}', b'{"a": "\xff"}',
        b"\xff\xfe{}", b'{"a": NaN}', b"{} {}",
        b'{"a": [1,,2]}', b'{"a": [,]}', b"{,}", b'{"a": 1,,}', b'{"a":,}', b'{"a": "x,}',
        b'{"Action": "status", "a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)  # fmt: skip
def test_bad_json(client: Client, body: bytes) -> None:
    for path in PATHS:
        answer = client.post(path, body)
        assert (answer.status, answer.code) == (400, -900)
        assert answer.json["Message"] == "Request body is not valid JSON"


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b'[{"Action": "create"}]'])
def test_json_that_is_no_object(client: Client, body: bytes) -> None:
    answer = client.post("/api/campaign", body)
    assert (answer.status, answer.code) == (400, -900)
    assert answer.json["Message"] == "Request body is not a JSON object"


def test_empty_bodies(client: Client) -> None:
    for body in (b"", b" \r\n", b"\xef\xbb\xbf"):
        assert client.post("/api/RetrieveUserSettings", body).code == 0
        assert client.post("/api/campaign", body).code == -900
        assert client.post("/api/DRStatus", body).code == -900


def test_a_body_over_the_limit(client: Client) -> None:
    for body in (b'{"a":"' + b"x" * 400_000 + b'"}', b" " * 300_001):
        answer = client.post("/api/campaign", body)
        assert (answer.status, answer.code) == (413, -906)
        assert answer.json["Message"] == "Request body too large"
        # Cut into chunks, nobody says beforehand how much it will be.
        pieces = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
        answer = client.call("POST", "/api/campaign", iter(pieces))
        assert (answer.status, answer.code) == (413, -906)
    within = b'{"CampaignId": 1, "a":"' + b"x" * 290_000 + b'"}'
    assert client.post("/api/DRStatus", within).json["Count"] == 0
    assert client.call("POST", "/api/DRStatus", iter([within[:5], within[5:]])).json["Count"] == 0


def test_endless_bodies_are_cut_off(plain: Server, client: Client) -> None:
    """Who goes on sending without end is answered, listened to for a while, and cut off."""
    with socket.create_connection(("127.0.0.1", plain.port), timeout=20) as line:
        head = f"POST /api/campaign HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(client.name)}\r\n"
        line.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        with pytest.raises(OSError):
            line.sendall(chunk * 10_000)


def test_several_requests_on_one_connection(plain: Server, client: Client) -> None:
    with socket.create_connection(("127.0.0.1", plain.port), timeout=20) as line:
        head = f"GET /api/credits HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(client.name)}\r\n\r\n".encode()
        line.sendall(head * 3)
        got = b""
        while got.count(b'{"Credits":1000,"Code":0}') < 3:
            got += line.recv(65536)


def test_business_errors_as_http_400(client: Client) -> None:
    answer = client.post("/api/campaign", {"Action": "?"})
    assert (answer.status, answer.code) == (400, -910)


def test_strict_headers(client: Client) -> None:
    for answer in (client.post("/api/RetrieveUserSettings", b""), client.post("/api/nothing", b"")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def fail(client: Client, error: Exception) -> Any:
    FAULTY.error = error
    return client.post("/api/campaign", {"Action": "status", "CampaignId": 1, "Message": "Hello secret"})


@pytest.mark.parametrize(
    "error", [RuntimeError("Hello secret"), CommitUnknown("Hello secret"), KeyError("secret")]
)
def test_internal_errors(client: Client, error: Exception) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = fail(client, error)
    assert (answer.status, answer.code) == (500, -990)
    assert "secret" not in answer.body.decode() + json.dumps(logs)
    assert logs[0]["event"] == "request_failed"
    assert logs[0]["request_id"] in answer.json["Message"]
    assert answer.json["Message"].startswith("Internal error (request ")


def test_store_away(client: Client) -> None:
    answer = fail(client, StoreUnavailable("disk"))
    assert (answer.status, answer.code) == (503, -991)
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["Message"] == "Temporarily unavailable, nothing was accepted"


def test_every_row_of_the_table_can_be_told(client: Client) -> None:
    for code in TABLE[1:]:
        answer = fail(client, ApiError(code, "x") if "{}" in code.text else ApiError(code))
        assert answer.code == code.code
        assert answer.status == (400 if code.business else code.http)


def test_cors(client: Client) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = client.call("OPTIONS", "/api/campaign", headers=asked, login=None)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-methods"] == "POST"
    for body in (b"", b"["):
        answer = client.post("/api/RetrieveUserSettings", body, headers={"Origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["vary"] == "Origin"
    stranger = {**asked, "Origin": "https://evil.example"}
    answer = client.call("OPTIONS", "/api/campaign", headers=stranger, login=None)
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


def test_no_cors_by_default(server: Server) -> None:
    client = server.account()
    asked = {"Origin": "https://shop.example"}
    answer = client.call("OPTIONS", "/api/campaign", headers=asked, login=None)
    assert answer.status == 405
    answer = client.post("/api/RetrieveUserSettings", b"", headers=asked)
    assert not [name for name in answer.headers if name.lower().startswith(("access-control", "vary"))]


def test_pages_for_watchers(client: Client) -> None:
    def get(path: str, method: str = "GET") -> Any:
        return client.call(method, path, login=None)

    assert (get("/healthz").status, get("/healthz").body) == (200, b"ok\n")
    assert get("/readyz").status == 503
    assert get("/readyz").json == {"ready": False, "carriers": "none"}
    client.post("/api/campaign", b"[")
    assert b'cooee_http_requests_total{code="-900",resource="campaign"}' in get("/metrics").body
    assert get("/healthz", "POST").status == 405
    assert get("/healthz", "HEAD").body == b""


def test_ready_and_without_metrics(tmp_path: Path) -> None:
    with Server(f"sqlite:///{tmp_path / 'cooee.db'}", metrics=False) as running:
        client = running.account()
        assert client.call("GET", "/readyz", login=None).json == {"ready": True}
        assert client.call("GET", "/metrics", login=None).status == 404
        assert client.post("/api/campaign", {"Action": "?"}).status == 200


def test_a_client_that_goes_away(plain: Server, client: Client) -> None:
    """No answer, no log line, and the next request is served."""
    with structlog.testing.capture_logs() as logs:
        for cut in (b"", b'{"Act', b" " * 280_000):
            with socket.create_connection(("127.0.0.1", plain.port), timeout=20) as line:
                head = f"POST /api/campaign HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(client.name)}\r\n"
                line.sendall(head.encode() + b"Content-Length: 290000\r\n\r\n" + cut)
        assert client.post("/api/RetrieveUserSettings", b"").code == 0
    assert logs == []


def test_other_kinds_of_scope(plain: Server) -> None:
    async def talk(scope: MutableMapping[str, Any], *messages: str) -> list[str]:
        waiting, sent = list(messages), []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": waiting.pop(0)}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message["type"])

        await plain.api(scope, receive, send)
        return sent

    answers = asyncio.run(talk({"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown"))
    assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asyncio.run(talk({"type": "websocket"})) == ["websocket.close"]


def test_the_table_of_resources_is_flat() -> None:
    assert [resource.name for resource in RESOURCES] == [path.removeprefix("/api/").lower() for path in PATHS]
