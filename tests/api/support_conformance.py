"""Published exchanges, as tables: what is sent, what comes back, and the ways in which clients write the same.

An answer is compared octet by octet with the published one, white space between tokens left out: keys, their order
and the types of values are all in that. Ids are given by whoever runs the service; the published ones stand for
those here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cooee.model.clock import ManualClock, local_to_ms
from cooee.model.errors import StoreUnavailable
from tests.api.support_api import Answer, Client, Server

SYDNEY = ZoneInfo("Australia/Sydney")


def local(text: str) -> int:
    """UTC ms of a time as answers write it."""
    return local_to_ms(datetime.fromisoformat(text), SYDNEY)


def then() -> ManualClock:
    """A clock at the time of the examples: what they schedule lies ahead, what they received behind."""
    return ManualClock(local("2020-07-28T12:00:00"))


@contextmanager
def at(server: Server, time: str) -> Iterator[None]:
    """Within, it is `time` in Sydney."""
    seconds = (local(time) - server.clock.now_ms()) / 1000
    server.clock.jump(seconds)
    try:
        yield
    finally:
        server.clock.jump(-seconds)


@dataclass
class Scene:
    """What there was before a request: who asks, and the ids that published ones stand for."""

    client: Client
    ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Exchange:
    """A published request, and the answer that comes in the `scene`."""

    name: str
    path: str
    request: str
    answer: str
    scene: Callable[[Server], Scene]

    def __str__(self) -> str:
        return self.name


def compact(text: str) -> bytes:
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


def put(text: str, ids: Mapping[str, int]) -> str:
    """`text` with our ids for the published ones."""
    if not ids:
        return text
    return re.sub(rf"\b({'|'.join(ids)})\b", lambda found: str(ids[found[1]]), text)


# --- the ways to write a request ----------------------------------------------------------------------------


@dataclass
class Call:
    """What goes over the line."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


Variant = Callable[[Call], Call]
NUMBERS = ("Destinations", "Destination", "Originator")
IDS = ("CampaignId", "CampaignID", "CrmId", "CrmIds", "Days", "credits")


def _fields(call: Call, change: Callable[[str, Any], tuple[str, Any]]) -> Call:
    body = loose(call.body)
    call.body = json.dumps(dict(change(name, value) for name, value in body.items())).encode()
    return call


def loose(body: bytes) -> dict[str, Any]:
    """A published body; one of them has a comma too many."""
    found = json.loads(re.sub(rb",\s*}\s*\Z", b"}", body) or b"{}")
    assert isinstance(found, dict)
    return found


def _numbers(write: Callable[[str], object]) -> Variant:
    """Every number of a handset is written another way. The sender of a campaign is no handset."""

    def change(call: Call) -> Call:
        def one(name: str, value: Any) -> tuple[str, Any]:
            if name not in NUMBERS or (name == "Originator" and "campaign" in call.path):
                return name, value
            return name, [write(each) for each in value] if isinstance(value, list) else write(value)

        return _fields(call, one)

    return change


def _records(call: Call) -> Call:
    def one(name: str, value: Any) -> tuple[str, Any]:
        joined = name in NUMBERS and isinstance(value, list)
        return name, ", ".join(value) if joined else value

    return _fields(call, one)


def _id(value: Any) -> Any:
    match value:
        case list():
            return [_id(each) for each in value]
        case str():
            return int(value)
        case _:
            return str(value)


def _path(write: Callable[[str], str]) -> Variant:
    def change(call: Call) -> Call:
        call.path = "/api/" + write(call.path.removeprefix("/api/"))
        return call

    return change


def _headers(**headers: str) -> Variant:
    def change(call: Call) -> Call:
        call.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return call

    return change


def _body(write: Callable[[bytes], bytes]) -> Variant:
    def change(call: Call) -> Call:
        call.body = write(call.body)
        return call

    return change


def _with_more(**more: Any) -> Variant:
    def change(call: Call) -> Call:
        call.body = json.dumps({**loose(call.body), **more}).encode()
        return call

    return change


def _idle_fields(call: Call) -> Call:
    """Clients send all the fields that they know with any action; only some actions read them."""
    body = loose(call.body)
    if "campaign" in call.path and body.get("Action") in ("pause", "unpause", "delete", "status"):
        body |= {"Message": "", "Originator": "x" * 99, "Destinations": ["61400123456"], "TimeScheduled": "?"}
    call.body = json.dumps(body).encode()
    return call


VARIANTS: dict[str, Variant] = {
    "as published": lambda call: call,
    "lower camel": lambda call: _fields(call, lambda name, value: (name[0].lower() + name[1:], value)),
    "upper case": lambda call: _fields(call, lambda name, value: (name.upper(), value)),
    "capitalised action": lambda call: _fields(
        call, lambda name, value: (name, value.capitalize() if name.lower() == "action" else value)
    ),
    "ids the other way": lambda call: _fields(
        call, lambda name, value: (name, _id(value) if name in IDS else value)
    ),
    "times and references as numbers": lambda call: _fields(
        call, lambda name, value: (name, int(value) if name in ("TimeScheduled", "Reference") else value)
    ),
    "fields of actions that do not read them": _idle_fields,
    "unknown fields": _with_more(Unknown={"deep": [1, None]}, Version=2.5),
    "null fields": _with_more(Reserved=None, Test2=None, Token=None),
    "numbers with a plus": _numbers(lambda number: f"+{number}"),
    "numbers with 00": _numbers(lambda number: f"00{number}"),
    "numbers in local form": _numbers(lambda number: f"0{number[2:]}"),
    "numbers with blanks": _numbers(lambda number: f" +{number[:2]} {number[2:5]} {number[5:]} "),
    "numbers as numbers": _numbers(lambda number: int(number) if number.isdigit() else number),
    "numbers as one text": _records,
    "a slash at the end": _path(lambda name: name + "/"),
    "lower case path": _path(str.lower),
    "upper case path": _path(str.upper),
    "title case path": _path(str.title),
    "no content type": _headers(),
    "form content type": _headers(Content_Type="application/x-www-form-urlencoded; charset=UTF-8"),
    "a charset": _headers(Content_Type="application/json; charset=utf-8", Accept="text/html"),
    "a byte order mark": _body(lambda body: b"\xef\xbb\xbf" + body),
    "white space around": _body(lambda body: b"\r\n\t " + body + b"\r\n"),
    "a comma too many": _body(
        lambda body: json.dumps(loose(body)).encode()[:-1] + b" ,\n}" if loose(body) else body
    ),
}


def _call(exchange: Exchange, variant: str, ids: Mapping[str, int]) -> Call:
    return VARIANTS[variant](Call(f"/api/{exchange.path}", put(exchange.request, ids).encode()))


def _meant(call: Call) -> tuple[object, ...]:
    raw = call.body.strip()
    return call.path, call.headers, raw.startswith(b"{") and call.body == raw and json.dumps(loose(raw))


def written_otherwise(exchanges: Sequence[Exchange]) -> list[Any]:
    """Every exchange with each variant that makes another request of it: (exchange, variant) test parameters."""
    return [
        pytest.param(exchange, variant, id=f"{exchange}, {variant}")
        for exchange in exchanges
        for variant in VARIANTS
        if _meant(_call(exchange, variant, {})) != _meant(_call(exchange, "as published", {}))
    ]


def carry_out(server: Server, exchange: Exchange, variant: str) -> None:
    """Sends the request, written another way, and compares what comes with what is published."""
    scene = exchange.scene(server)
    call = _call(exchange, variant, scene.ids)
    answer = scene.client.call("POST", call.path, call.body, headers=call.headers)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    wanted = json.loads(exchange.answer)
    for name in ("CampaignId", "CrmId"):
        if name in wanted and str(wanted[name]) not in scene.ids:
            given = answer.json[name]
            assert type(given) is int
            scene.ids[str(wanted[name])] = given
    assert answer.body.decode() == compact(put(exchange.answer, scene.ids)).decode()


# --- refusals -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refusal:
    """A request that is refused with `code` and `message`; `http` by itself, where the code is no business one."""

    code: int
    http: int
    message: str
    request: Callable[[Server], Answer]

    def __str__(self) -> str:
        return f"{self.code} {self.message[:30]}"


def refuse(server: Server, refusal: Refusal) -> Answer:
    """Carries it out, and checks all but the status."""
    answer = refusal.request(server)
    body = answer.json
    assert list(body) == ["Message", "Code"], body
    assert type(body["Code"]) is int
    assert (body["Code"], body["Message"]) == (refusal.code, refusal.message)
    assert answer.headers["content-type"] == "application/json"
    return answer


@contextmanager
def failing(server: Server, error: Exception) -> Iterator[None]:
    """Within, the store fails for everything but logins."""
    real = server.database.write

    async def fail(*_: object) -> Any:
        raise error

    server.database.write = fail  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        server.database.write = real  # type: ignore[method-assign]


def away(server: Server, path: str, body: dict[str, Any]) -> Answer:
    """A request while the database is away."""
    client = server.account()
    with failing(server, StoreUnavailable("gone")):
        return client.post(path, body)


def fixed_id(answer: Answer) -> Answer:
    """An internal error whose request id, drawn anew each time, is x."""
    message = answer.json["Message"]
    start = "Internal error (request "
    assert message.startswith(start)
    assert len(message) == len(start) + 17
    assert int(message[len(start) : -1], 16)
    answer.body = json.dumps({"Message": f"{start}x)", "Code": answer.json["Code"]}).encode()
    return answer


def broken(server: Server, path: str, body: dict[str, Any]) -> Answer:
    """A request that meets a fault of ours."""
    client = server.account()
    with failing(server, RuntimeError("never seen")):
        return fixed_id(client.post(path, body))
