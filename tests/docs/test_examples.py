"""The requests on docs/api.md, sent to a running API, get the answers that stand there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cooee.model.clock import local_to_ms
from cooee.model.message import MessageState
from cooee.web.api import RESOURCES
from cooee.web.entries import ENTRIES, Example
from tests.api.support_api import Client, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(f"sqlite:///{tmp_path_factory.mktemp('docs') / 'cooee.db'}") as running:
        yield running


def shape(value: object) -> object:
    """Keys in their order and types; texts and numbers that differ from run to run are left out."""
    match value:
        case dict():
            return [(name, shape(inner)) for name, inner in value.items()]
        case list():
            return [shape(inner) for inner in value]
        case _:
            return type(value).__name__


def same(answer: dict[str, Any], documented: dict[str, Any]) -> None:
    assert shape(answer) == shape(documented)
    for name in ("Code", "Message", "Messages", "Segments", "AllowUnicode", "AllowInternational", "Count"):
        assert answer.get(name) == documented.get(name), name


def scheduled(client: Client) -> int:
    answer = client.create(TimeScheduled="203708301300")
    found = answer.json["CampaignId"]
    assert isinstance(found, int)
    return found


def written(client: Client) -> None:
    """The two replies of the example."""
    (example, *_) = ENTRIES["replies"].actions[""]
    for each in json.loads(example.answer)["Messages"]:
        client.server.reply(
            client.account,
            each["MessageText"],
            at=local_to_ms(datetime.fromisoformat(each["Received"]), client.account.zone),
            sender=each["Originator"],
            recipient=each["Recipient"],
            reference=each["ReferenceId"],
        )


def prepared(client: Client, resource: str, action: str) -> int:
    """A campaign that the example can be about."""
    if resource == "drstatus":
        campaign = client.create().json["CampaignId"]
        outcome = [(61400123456, MessageState.DELIVERED, 0)]
        client.server.settle(client.account, campaign, outcome, client.server.clock.now_ms())
        assert isinstance(campaign, int)
        return campaign
    campaign = scheduled(client)
    if action == "unpause":
        client.post("/api/campaign", {"Action": "pause", "CampaignId": campaign})
    return campaign


def stored_list(client: Client) -> int:
    """The list that the example is about: what the documented create makes."""
    found = client.post("/api/crm", json.loads(ENTRIES["crm"].actions["create"][0].request)).json["CrmId"]
    assert isinstance(found, int)
    return found


CASES = [
    (resource.name, action, example)
    for resource in RESOURCES
    for action, examples in ENTRIES[resource.name].actions.items()
    for example in examples
]


@pytest.mark.parametrize(
    ("resource", "action", "example"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_documented_answer_comes(server: Server, resource: str, action: str, example: Example) -> None:
    client = server.account(may_add_credits=True)
    body = json.loads(example.request)
    if "CrmId" in body or "CrmIds" in body or action == "list":
        stored = stored_list(client)
        for name, value in (("CrmId", stored), ("CrmIds", [stored])):
            if name in body:
                body[name] = value
    for name in {"CampaignId", "CampaignID"} & set(body):
        campaign = prepared(client, resource, action)
        body[name] = str(campaign) if isinstance(body[name], str) else campaign
    if resource == "replies" and not body:
        written(client)
    if resource == "optouts" and body["Action"] != "add":
        number = body.get("Originator", ["61400555555"])
        client.post("/api/optouts", {"Action": "add", "Originator": number})
    if "Reference" in body:
        # What the page shows before it is what it adds to.
        examples = ENTRIES[resource].actions[action]
        for before in examples[: examples.index(example)]:
            client.post(f"/api/{ENTRIES[resource].title}", before.request.encode())
    answer = client.post(f"/api/{ENTRIES[resource].title}", body)
    assert answer.status == 200
    same(answer.json, json.loads(example.answer))


def test_every_documented_get_answers(server: Server) -> None:
    client = server.account()
    for resource in RESOURCES:
        if resource.get is not None:
            answer = client.call("GET", f"/api/{resource.name}")
            same(answer.json, json.loads(ENTRIES[resource.name].get))
