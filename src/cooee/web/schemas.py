"""What each resource takes and answers, as JSON Schema: beside the reference's own table the source of
/openapi.json.

A resource is one entry of `SCHEMAS`. Names are spelt as they are published; the API takes them in any case. Types
are as liberal as the API is: whole numbers also as text, `null` for what may be absent, unknown fields ignored.
What a field means is said in `entries.ENTRIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cooee.model.errors import (
    BAD_FIELD,
    BAD_ORIGINATOR,
    BAD_RANGE,
    BAD_TIME,
    CAMPAIGN_STATE,
    CREDITS_INVALID,
    CREDITS_NOT_ALLOWED,
    CREDITS_SHORT,
    NO_CAMPAIGN,
    NO_DESCRIPTION,
    NO_DESTINATION,
    NO_INTERNATIONAL,
    NO_LIST,
    NO_LONG,
    NO_NUMBER,
    NO_ORIGINATOR,
    NO_TEXT,
    NO_UNICODE,
    TOO_LONG,
    Code,
)

Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActionSchema:
    """One action: the fields that it needs and those that it reads besides, what it answers when all went well,
    and the codes that it may refuse with after the request was understood."""

    answer: Schema
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    codes: tuple[Code, ...] = ()
    idempotent: bool = False
    """Whether it reads the header Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """One resource. `action` is how its field Action is published, "" where it has none; then `actions` has one
    entry, "". `get` is what GET answers."""

    fields: Mapping[str, Schema]
    actions: Mapping[str, ActionSchema]
    action: str = ""
    get: Schema | None = None


def answer(properties: Mapping[str, Schema]) -> Schema:
    """An answer: an object with exactly these, in this order."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def listed(item: Schema) -> Schema:
    """A list of items."""
    return {"type": "array", "items": item}


def done(*words: str) -> Schema:
    """`{"Message": one of words, "Code": 0}`."""
    return answer({"Message": {"enum": list(words)}, "Code": OK})


OK: Schema = {"const": 0}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANY_NUMBER: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
YES_OR_NO: Schema = {"type": "boolean"}
DIGITS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
LOCAL_TIME: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$"}

SPACED_TIME: Schema = {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})?$"}
"""A time with a space in its middle, or "" for none."""

DAY: Schema = {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"}
"""A day; "" counts as none."""

WHOLE: Schema = {"type": ["integer", "string"], "pattern": "^ *-?[0-9]+ *$"}
"""A whole number that a client sends, also as text."""
NUMBERS: Schema = {"type": ["array", "string", "integer"], "items": {"type": ["string", "integer"]}}
"""MSISDNs: a list, or one text or number, also with commas."""

_ACCEPTED = answer({"Code": OK, "CampaignId": COUNT, "Messages": COUNT, "Segments": COUNT, "Credits": COUNT})
_TEXT_CODES = (NO_TEXT, TOO_LONG, NO_UNICODE, NO_LONG, NO_ORIGINATOR, BAD_ORIGINATOR, BAD_TIME)


def _on_campaign(word: str) -> ActionSchema:
    return ActionSchema(done(word), ("CampaignId",), (), (BAD_FIELD, NO_CAMPAIGN, CAMPAIGN_STATE))


def _on_list(words: str, *more: str) -> ActionSchema:
    message = {"type": "string", "pattern": words}
    codes = (BAD_FIELD, NO_LIST, *((NO_NUMBER,) if more else ()))
    return ActionSchema(answer({"Message": message, "Code": OK}), ("CrmId", *more), (), codes)


SCHEMAS: dict[str, ResourceSchema] = {
    "campaign": ResourceSchema(
        fields={
            "Message": {"type": "string", "minLength": 1, "maxLength": 2000},
            "Originator": {"type": ["string", "integer"]},
            "Destinations": NUMBERS,
            "TimeScheduled": {"type": ["string", "integer"], "pattern": "^[0-9]{12}$"},
            "Reference": {"type": ["string", "integer"], "maxLength": 255},
            "CrmIds": {"type": ["array", "integer", "string"], "items": WHOLE, "pattern": "^ *-?[0-9]+ *$"},
            "CampaignId": WHOLE,
        },
        action="Action",
        actions={
            "create": ActionSchema(
                _ACCEPTED,
                required=("Message", "Originator"),
                optional=("Destinations", "TimeScheduled", "Reference", "CrmIds"),
                codes=(*_TEXT_CODES, NO_DESTINATION, NO_INTERNATIONAL, NO_LIST, CREDITS_SHORT, BAD_FIELD),
                idempotent=True,
            ),
            "modify": ActionSchema(
                _ACCEPTED,
                required=("CampaignId",),
                optional=("Message", "Originator", "TimeScheduled"),
                codes=(*_TEXT_CODES, CREDITS_SHORT, BAD_FIELD, NO_CAMPAIGN, CAMPAIGN_STATE),
            ),
            "status": ActionSchema(
                done("Scheduled", "Running", "Paused", "Deleted", "Finished"),
                required=("CampaignId",),
                codes=(BAD_FIELD, NO_CAMPAIGN),
            ),
            "pause": _on_campaign("Paused"),
            "unpause": _on_campaign("Unpaused"),
            "delete": _on_campaign("Deleted"),
        },
    ),
    "crm": ResourceSchema(
        fields={
            "CrmId": WHOLE,
            "Description": {"type": "string", "minLength": 1, "maxLength": 255},
            "Records": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"Number": {"type": ["string", "integer"]}},
                    "required": ["Number"],
                },
            },
            "ShowDeleted": {"type": ["boolean", "string", "integer"]},
        },
        action="Action",
        actions={
            "list": ActionSchema(
                answer(
                    {
                        "Count": COUNT,
                        "Groups": listed(
                            answer(
                                {
                                    "CrmId": COUNT,
                                    "Description": TEXT,
                                    "Count": COUNT,
                                    "ParentGroup": {"const": 0},
                                    "ActiveCampaign": COUNT,
                                    "Deleted": SPACED_TIME,
                                }
                            )
                        ),
                    }
                ),
                optional=("ShowDeleted",),
                codes=(BAD_FIELD,),
            ),
            "details": ActionSchema(
                answer(
                    {
                        "CrmId": COUNT,
                        "Description": TEXT,
                        "Count": COUNT,
                        "Records": listed(answer({"Number": DIGITS})),
                    }
                ),
                required=("CrmId",),
                codes=(BAD_FIELD, NO_LIST),
            ),
            "create": ActionSchema(
                answer({"CrmId": COUNT, "Message": {"const": "CRM created"}}),
                required=("Description",),
                optional=("Records",),
                codes=(BAD_FIELD, NO_DESCRIPTION, NO_NUMBER),
            ),
            "append": _on_list("^Added [0-9]+ numbers?$", "Records"),
            "remove": _on_list("^Removed [0-9]+ numbers?$", "Records"),
            "delete": _on_list("^Deleted$"),
        },
    ),
    "drstatus": ResourceSchema(
        fields={"CampaignId": WHOLE, "Destination": {"type": ["string", "integer"]}},
        actions={
            "": ActionSchema(
                answer(
                    {
                        "CampaignId": ANY_NUMBER,
                        "Count": COUNT,
                        "Destinations": listed(
                            answer(
                                {
                                    "Destination": DIGITS,
                                    "TimeStamp": LOCAL_TIME,
                                    "Status": answer({"DeliveryReceiptStatusId": {"enum": [1, 2]}, "Code": COUNT}),
                                }
                            )
                        ),
                    }
                ),
                required=("CampaignId",),
                optional=("Destination",),
                codes=(BAD_FIELD,),
            )
        },
    ),
    "retrieveusersettings": ResourceSchema(
        fields={},
        actions={
            "": ActionSchema(
                answer(
                    {
                        "UserId": COUNT,
                        "AllowUnicode": YES_OR_NO,
                        "AllowInternational": YES_OR_NO,
                        "Credits": COUNT,
                        "Code": OK,
                        "AllowLongMessages": YES_OR_NO,
                    }
                )
            )
        },
    ),
    "credits": ResourceSchema(
        fields={"credits": {"type": ["integer", "string"], "minimum": 1, "pattern": "^ *[0-9]+ *$"}},
        action="action",
        actions={
            "add": ActionSchema(
                answer({"Credits": COUNT, "Code": OK}),
                required=("credits",),
                codes=(CREDITS_NOT_ALLOWED, CREDITS_INVALID, BAD_FIELD),
            )
        },
        get=answer({"Credits": COUNT, "Code": OK}),
    ),
    "replies": ResourceSchema(
        fields={
            "Test": {"type": ["boolean", "string", "integer"]},
            "Days": {"type": ["integer", "string"], "minimum": 1, "maximum": 366, "pattern": "^ *[0-9]+ *$"},
            "DateStart": DAY,
            "DateEnd": DAY,
            "Originator": {
                "type": ["string", "integer", "array"],
                "items": {"type": ["string", "integer"]},
                "maxItems": 1,
            },
        },
        actions={
            "": ActionSchema(
                answer(
                    {
                        "Count": COUNT,
                        "Messages": listed(
                            answer(
                                {
                                    "Received": LOCAL_TIME,
                                    "Originator": TEXT,
                                    "Recipient": TEXT,
                                    "MessageText": TEXT,
                                    "ReferenceId": TEXT,
                                }
                            )
                        ),
                    }
                ),
                optional=("Test", "Days", "DateStart", "DateEnd", "Originator"),
                codes=(BAD_FIELD, BAD_RANGE),
            )
        },
    ),
    "optouts": ResourceSchema(
        fields={"Originator": NUMBERS},
        action="Action",
        actions={
            "add": ActionSchema(done("Origins added"), ("Originator",), (), (BAD_FIELD, NO_NUMBER)),
            "delete": ActionSchema(
                answer({"Message": {"type": "string", "pattern": "^Deleted [0-9]+ OptOut numbers?$"}, "Code": OK}),
                required=("Originator",),
                codes=(BAD_FIELD, NO_NUMBER),
            ),
            "list": ActionSchema(
                answer(
                    {
                        "Count": COUNT,
                        "OptOut": listed(
                            answer(
                                {
                                    "Added": SPACED_TIME,
                                    "Originator": DIGITS,
                                    "MessageText": TEXT,
                                    "Reason": {"enum": ["Client", "Reply", "Admin"]},
                                }
                            )
                        ),
                    }
                )
            ),
        },
    ),
}
"""By the name of the resource in `api.RESOURCES`."""
