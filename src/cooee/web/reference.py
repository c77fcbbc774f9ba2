"""The page docs/api.md, made from the table of codes, the table of resources and the examples below.

`python -m cooee.web.reference docs/api.md` writes it; a test fails when it is not current, and another one sends
the examples to a running API. A resource or an action without an example here is a LookupError.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cooee.model.errors import BAD_ACTION, TABLE, Code
from cooee.web.api import RESOURCES, Resource


@dataclass(frozen=True, slots=True)
class Example:
    """A request body and the answer that it gets, both as JSON text; `note` explains."""

    request: str
    answer: str
    note: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What the page says of a resource: its name as it is published, prose, fields (name, takes, meaning).

    `actions` holds an example by action, "" for a resource without actions; `get` what GET answers.
    """

    title: str
    text: str
    fields: tuple[tuple[str, str, str], ...]
    actions: Mapping[str, tuple[Example, ...]]
    get: str = ""


ENTRIES: dict[str, Entry] = {
    "campaign": Entry(
        "campaign",
        "Sends a message to one or to a million recipients, now or later, and says how that stands. `create` "
        "checks its fields in this order: Idempotency-Key, Message, Originator, TimeScheduled, Reference, "
        "Destinations, CrmIds; then the account's permissions; then its credits. The first check that fails "
        "answers, and nothing is stored or charged.",
        (
            ("Action", "`create`, `modify`, `status`, `pause`, `unpause` or `delete`, in any case", "What to do."),
            (
                "Message",
                "text of at most 2000 UTF-16 code units",
                "For `create` and `modify`. White space alone is no message.",
            ),
            (
                "Originator",
                "text or number",
                "For `create` and `modify`: whom the message is from. See Originators.",
            ),
            (
                "Destinations",
                "a list; or one text or number, also with commas",
                "For `create`. See Numbers. Invalid and repeated numbers are dropped and counted.",
            ),
            (
                "TimeScheduled",
                "`YYYYMMDDHHMM`, text or number, in the account's time zone",
                "For `create` and `modify`. In the past, or absent from `create`: at once.",
            ),
            (
                "Reference",
                "text or number of at most 255 characters",
                "For `create`: kept with the campaign, and adds to one that is not on its way yet (see `create`).",
            ),
            (
                "CrmIds",
                "a list of whole numbers, or one",
                "For `create`: stored lists whose numbers are recipients too, each once, checked as those of "
                "Destinations are. A list edited later does not change the campaign. One that the account does "
                "not have, or has deleted: -940, also when there are Destinations.",
            ),
            ("CampaignId", "a whole number", "For every action but `create`."),
        ),
        {
            "create": (
                Example(
                    '{"Message": "Hello, this is a test", "Originator": "61400190499", '
                    '"Destinations": ["61400123456"], "Action": "create"}',
                    '{"Code":0,"CampaignId":1000001,"Messages":1,"Segments":1,"Credits":1}',
                    "To one recipient. `Messages` is how many recipients were accepted, `Segments` how many SMS "
                    "each message takes, `Credits` what was charged: one times the other. Code 0 means that all "
                    "of it is on disk.",
                ),
                Example(
                    '{"Message": "Hello, this is a test", "Originator": "61400190499", '
                    '"Destinations": ["61400123456", "61400123999"], "Action": "create"}',
                    '{"Code":0,"CampaignId":1000002,"Messages":2,"Segments":1,"Credits":2}',
                    "To two recipients.",
                ),
                Example(
                    '{"Message": "Hello, this is a test", "Originator": "61400190499", "Reference": "1234567", '
                    '"TimeScheduled": "203708301300", "Destinations": ["61400123456", "61400123999"], '
                    '"Action": "create"}',
                    '{"Code":0,"CampaignId":1000003,"Messages":2,"Segments":1,"Credits":2}',
                    "For later. Credits are taken now.",
                ),
                Example(
                    '{"Message": "Hello, this is a test", "Originator": "61400190499", "Reference": "1234567", '
                    '"TimeScheduled": "203708301300", "Destinations": ["61400123999", "61400123000", '
                    '"61400123111"], "Action": "create"}',
                    '{"Code":0,"CampaignId":1000003,"Messages":2,"Segments":1,"Credits":2}',
                    "Adds recipients to the campaign before: it has the same Reference, TimeScheduled, Message "
                    "and Originator, and is scheduled, or was paused before its start (of several the newest). "
                    "`Messages` and `Credits` are about this request alone. Recipients that are in the campaign "
                    "already are not added again; when all of them are, both are 0. In any other case the same "
                    "Reference makes a new campaign.",
                ),
                Example(
                    '{"Message": "Hello, this is a test to a list", "Originator": "61400190499", '
                    '"TimeScheduled": "203707141230", "Reference": "123456", "Action": "create", '
                    '"CrmIds": [2001]}',
                    '{"Code":0,"CampaignId":1000004,"Messages":2,"Segments":1,"Credits":2}',
                    "To a stored list.",
                ),
            ),
            "modify": (
                Example(
                    '{"Message": "Modified message text", "Originator": "61400111222", "CampaignID": "1000003", '
                    '"TimeScheduled": "203708301330", "Action": "modify"}',
                    '{"Code":0,"CampaignId":1000003,"Messages":1,"Segments":1,"Credits":1}',
                    "Changes the text, the originator or the time of a campaign that is scheduled, or was "
                    "paused before its start; in any other state: -931. What is not named stays as it is, and "
                    "nothing else can be changed. A time in the past sends at once; a paused campaign stays "
                    "paused. The answer is about the whole campaign. When the new text takes more SMS the "
                    "difference is charged (-202 if the account is short: then nothing is changed); when it takes "
                    "fewer it is given back.",
                ),
            ),
            "status": (
                Example(
                    '{"CampaignId": 1000003, "Action": "status"}',
                    '{"Message":"Scheduled","Code":0}',
                    "One word: `Scheduled`, `Running`, `Paused`, `Deleted` or `Finished`. Finished: nothing is "
                    "left to hand to a carrier and nothing is uncertain; receipts may still come.",
                ),
            ),
            "pause": (
                Example(
                    '{"CampaignId": "1000003", "Action": "pause"}',
                    '{"Message":"Paused","Code":0}',
                    "Stops what is not yet handed to a carrier. Pausing what is paused succeeds again; a finished "
                    "or deleted campaign: -931.",
                ),
            ),
            "unpause": (
                Example(
                    '{"CampaignId": 1000003, "Action": "unpause"}',
                    '{"Message":"Unpaused","Code":0}',
                    "Goes on: as scheduled while its time has not come, else at once. A campaign that is not "
                    "paused: -931.",
                ),
            ),
            "delete": (
                Example(
                    '{"CampaignId": 1000003, "Action": "delete"}',
                    '{"Message":"Deleted","Code":0}',
                    "Cancels what was never handed to a carrier and gives its credits back. Only a campaign that "
                    "is scheduled or paused; a running one must be paused first (-931). Deleting twice succeeds.",
                ),
            ),
        },
    ),
    "crm": Entry(
        "crm",
        "Stores lists of numbers, which campaigns can be sent to. A list takes any number of 8 to 15 digits in "
        "international form, and the local form of the account's country; whether it can be a recipient is "
        "judged when a campaign is created. A number is in a list once. Requests may hold a million numbers: "
        "more than 2,000 go in or out piece by piece, and a new list is not seen before it is whole. A list that "
        "is unknown, another account's or deleted is -940, which is checked before `Records`.",
        (
            ("Action", "`list`, `details`, `create`, `append`, `remove` or `delete`, in any case", "What to do."),
            ("CrmId", "a whole number", "Which list: for every action but `list` and `create`."),
            (
                "Description",
                "text of at most 255 characters",
                "For `create`: what the list is called. Missing or white space alone: -941. Two lists may be "
                "called the same.",
            ),
            (
                "Records",
                "a list of objects with a `Number` each: text, also with commas, or a number",
                "For `create`, where it may be missing, and for `append` and `remove`. Invalid and repeated "
                "numbers are dropped; when none is left: -942.",
            ),
            ("ShowDeleted", "true or false", "For `list`: deleted lists too. Absent: false."),
        ),
        {
            "list": (
                Example(
                    '{"Action": "list"}',
                    '{"Count":1,"Groups":[{"CrmId":2001,"Description":"Daily VIP client SMS","Count":2,'
                    '"ParentGroup":0,"ActiveCampaign":0,"Deleted":""}]}',
                    "By description without regard to case, then by id. `ActiveCampaign` is the newest campaign "
                    "to the list that is not finished or deleted, else 0; `ParentGroup` is always 0. `Deleted` "
                    'is when the list was deleted, as `2026-11-24 20:19:56` in the account\'s time zone, or "".',
                ),
            ),
            "details": (
                Example(
                    '{"Action": "details", "CrmId": 2001}',
                    '{"CrmId":2001,"Description":"Daily VIP client SMS","Count":2,"Records":['
                    '{"Number":"61400123456"},{"Number":"61400999111"}]}',
                    "Numbers rise.",
                ),
            ),
            "create": (
                Example(
                    '{"Action": "create", "Description": "Daily VIP client SMS", '
                    '"Records": [{"Number": "61400123456,61400999111"}]}',
                    '{"CrmId":2001,"Message":"CRM created"}',
                    "There is no Code in this answer, as it is published.",
                ),
            ),
            "append": (
                Example(
                    '{"Action": "append", "CrmId": 2001, "Records": [{"Number": "61400111555,61400222333"}]}',
                    '{"Message":"Added 2 numbers","Code":0}',
                    "How many were not in the list yet; 0 is no error.",
                ),
            ),
            "remove": (
                Example(
                    '{"Action": "remove", "CrmId": 2001, "Records": [{"Number": "61400999111"}]}',
                    '{"Message":"Removed 1 number","Code":0}',
                    "How many were in the list; 0 is no error.",
                ),
            ),
            "delete": (
                Example(
                    '{"Action": "delete", "CrmId": 2001}',
                    '{"Message":"Deleted","Code":0}',
                    "The list is flagged and keeps its numbers. Campaigns to it go on. Deleting twice succeeds.",
                ),
            ),
        },
    ),
    "drstatus": Entry(
        "DRStatus",
        "Lists the recipients of a campaign that have a final result: a receipt, a refusal by the carrier, or our "
        "giving up. Those that wait, opted out or were cancelled are not listed. `TimeStamp` is when the result "
        "was settled. A campaign that is unknown, or another account's, has `Count` 0.",
        (
            ("CampaignId", "a whole number", "Which campaign."),
            ("Destination", "text or number", "Only this recipient. Absent or empty: all of them."),
        ),
        {
            "": (
                Example(
                    '{"CampaignId": 1000001}',
                    '{"CampaignId":1000001,"Count":1,"Destinations":[{"Destination":"61400123456",'
                    '"TimeStamp":"2026-11-24T20:19:56","Status":{"DeliveryReceiptStatusId":1,"Code":0}}]}',
                    "`DeliveryReceiptStatusId` is 1 for delivered and 2 for failed; a long message is delivered "
                    "when all its segments are, and failed when one is. `Code` is 0 for delivered, else the "
                    "carrier's own error number (which the carrier setting `codes` may translate); after a "
                    "refusal at submission it is the command_status in decimal. 999 stands for an error that is "
                    "no number, 998 for a message that we gave up on. See [their names](message-codes.md).",
                ),
            )
        },
    ),
    "retrieveusersettings": Entry(
        "RetrieveUserSettings",
        "Says who the client is, what it may do, and how many credits it has. The body may be empty.",
        (),
        {
            "": (
                Example(
                    "{}",
                    '{"UserId":1001,"AllowUnicode":true,"AllowInternational":false,"Credits":997,"Code":0,'
                    '"AllowLongMessages":true}',
                    "",
                ),
            )
        },
    ),
    "credits": Entry(
        "credits",
        "Adds credits to the account that asks, if the operator allows that (`cooee account set NAME "
        "--may-add-credits`). Every top-up is in the account's ledger, for the bill.",
        (
            ("action", "`add`", "What to do."),
            ("credits", "a whole number from 1 up", "How many."),
        ),
        {"add": (Example('{"credits": 1000, "action": "add"}', '{"Credits":1997,"Code":0}', "The new balance."),)},
        get='{"Credits":1997,"Code":0}',
    ),
    "replies": Entry(
        "replies",
        "Lists what handsets wrote to the account's numbers, oldest first. Messages that opted a handset out are "
        "listed too. The body may be empty. Without fields, or with `Test`, come the replies that were not "
        "retrieved yet; with Days, dates or Originator all of that time, retrieved before or not. See "
        "[Polling](#polling).",
        (
            ("Test", "true or false, also 1 or 0, also as text", "Flags none as retrieved."),
            (
                "Days",
                "a whole number from 1 to 366",
                "From midnight, local time, of so many days back, counting today as the first, until now.",
            ),
            (
                "DateStart",
                "`YYYY-MM-DD`, in the account's time zone",
                "From the beginning of this day; without DateEnd until now.",
            ),
            (
                "DateEnd",
                "`YYYY-MM-DD`, in the account's time zone",
                "To the end of this day. At most 366 days; not without DateStart, and neither with Days: -950.",
            ),
            (
                "Originator",
                "text or number",
                "Only from this mobile (or sender that is no number). Without Days or dates: of the last 31 days.",
            ),
        ),
        {
            "": (
                Example(
                    "{}",
                    '{"Count":2,"Messages":[{"Received":"2026-07-27T10:01:10","Originator":"61400123456",'
                    '"Recipient":"61400190444","MessageText":"Thanks, yes i will be at the appointment",'
                    '"ReferenceId":"4499850"},{"Received":"2026-07-27T11:35:10","Originator":"61400987654",'
                    '"Recipient":"61400190555","MessageText":"Can we reschedule?","ReferenceId":"4499851"}]}',
                    "What was not retrieved yet, and is from now on. `ReferenceId` is the Reference of the "
                    "campaign that it answers: the newest one handed over from `Recipient` to this handset. It is "
                    'that campaign\'s CampaignId where there was no Reference, and "" where it answers nothing.',
                ),
                Example('{"Test": true}', '{"Count":0,"Messages":[]}', "The same, but nothing is flagged."),
                Example('{"Days": 2}', '{"Count":0,"Messages":[]}', "Yesterday and today."),
                Example(
                    '{"DateStart": "2026-06-01", "DateEnd": "2026-06-30"}',
                    '{"Count":0,"Messages":[]}',
                    "A range; both days are in it.",
                ),
            )
        },
    ),
    "optouts": Entry(
        "optouts",
        "The numbers that the account must not write to. Every message is checked against them when it is handed "
        "over: an opt-out holds from the very next moment on, also for campaigns under way, and the credits of "
        "who was left out come back. Numbers of any country and kind are taken, see Numbers for how they are "
        "written. Each account has its own opt-outs, sub-accounts too.",
        (
            ("Action", "`add`, `delete` or `list`, in any case", "What to do."),
            (
                "Originator",
                "a list; or one text or number, also with commas",
                "The numbers, for `add` and `delete`.",
            ),
        ),
        {
            "add": (
                Example(
                    '{"Action": "add", "Originator": ["61400123456", "61400222333"]}',
                    '{"Message":"Origins added","Code":0}',
                    "Valid numbers are added, others are ignored; when none is valid: -942. What is opted out "
                    "already keeps its time and reason.",
                ),
            ),
            "delete": (
                Example(
                    '{"Action": "delete", "Originator": ["61400123456"]}',
                    '{"Message":"Deleted 1 OptOut number","Code":0}',
                    "They are written to again. A number that was not opted out, or is none, does not count: "
                    "`Deleted 0 OptOut numbers`. Without Originator: -942.",
                ),
            ),
            "list": (
                Example(
                    '{"Action": "list"}',
                    '{"Count":1,"OptOut":[{"Added":"2026-12-05 18:52:42","Originator":"61400555555",'
                    '"MessageText":"","Reason":"Client"}]}',
                    "Newest first. `Reason` is `Client` (through this API or the console), `Reply` (a message to "
                    "an opt-out number, or a keyword such as STOP; `MessageText` holds it) or `Admin` (the "
                    "operator). `Added` has a blank between date and time.",
                ),
            ),
        },
    ),
}

_MADE = """# REST API

Made from the code by `python -m cooee.web.reference docs/api.md`. The tests send the examples below to a running
API and compare the answers. A server has this page at `/docs`, with schemas, and describes itself to programs at
`/openapi.json` (OpenAPI 3.1)."""

TOP = """Cooee speaks the published REST API of an existing SMS service, so that programs written for that service
keep working. [What is ours](#what-is-ours) lists what the published text leaves open.

## Requests

- Every resource is `POST /api/NAME` with a JSON object as its body. Names are taken in any case, and with or
  without a slash at the end. `GET` is for `/api/credits` alone.
- The names of fields are taken in any case too. Fields that are not known are ignored. A field that is `null`
  counts as absent.
- Whole numbers may come as text: `"CampaignId": "1000001"`.
- The body is UTF-8, at most 64 MiB (setting `body_limit_mb`). Content-Type is not looked at. A byte order mark
  at the start and one comma too many before `}` or `]` are let pass.
- An empty body counts as `{}` for RetrieveUserSettings and replies. Elsewhere it is -900.
- Of large bodies (over 256 KiB) two are read at a time; a third one waits. One that brings nothing for 20 s is
  -900.
- Checks come in this order: path, method, login, size, JSON, Action, and then what the resource asks for. The
  first that fails answers.

## Answers

- Every error has the body `{"Message": "…", "Code": -nnn}`, whatever its HTTP status. See [Codes](#codes).
- A request that was understood and refused comes with HTTP 200 and a negative Code. With the setting
  `error_http_status = 400` it comes with HTTP 400.
- Keys come in the order of the examples. Numbers of handsets have digits only. Times are ISO-8601 without a
  zone, in whole seconds, in the account's time zone; in UTC for an account that is set so (`--utc`).
- There are no CORS headers unless the setting `cors_origins` names origins.

## Logging in

HTTP Basic: the account's name and password. Use TLS in front of Cooee, for the password is sent with every
request.

A failed login is -901. After 10 failures within a minute for one user from one address, or 100 from one
address, further logins from there are -907 with HTTP 429 until that minute is over, with the right password
too. Other addresses are not affected. An IPv6 address counts as its /64. Passwords that were not verified
lately are verified one at a time; when 64 wait, or 4 from one address, the next is -907 with `Retry-After: 1`.

A changed password or a suspension takes effect within 5 seconds.

## Idempotency-Key

`create` reads the header `Idempotency-Key`: any text of up to 255 characters, kept for 24 hours for each
account. A repeated request with the same key and the same body gets the first answer and sends nothing. The
same key with another body is -911. Refusals are not kept: after -202 the same key may be tried again.

```
curl -u 'acme:a long password' http://127.0.0.1:8080/api/campaign -H 'Idempotency-Key: order-17' \\
  -d '{"Message": "Hello", "Originator": "COOEE", "Destinations": ["61400123456"], "Action": "create"}'
```

## Numbers

A destination may be written `61400123456`, `+61400123456`, `0061400123456`, or in the local form of the
account's country (`0400 123 456`), with spaces, dots, dashes and brackets. It must be one that can be a mobile
by its country's numbering plan. Numbers outside the account's country need the permission `--international`;
without it they are dropped, and when nothing else was asked for the answer is -926. When no number is left for
another reason: -111. The operator may narrow an account down to [some countries](accounts.md#to-whom), or have it
take any number of E.164 shape.

## Originators

An MSISDN of 9 to 15 digits in international form, with or without `+` or `00`; a short code of 3 to 8 digits;
or 1 to 11 ASCII letters, digits, spaces and `-` `_` `.` `&`, with at least one letter and no space at either
end. An account may be bound to [approved sender IDs](accounts.md#from-whom); any other is -921 for it.

## Credits

`Credits` counts a credit for each segment of each recipient, unless the operator has set
[another rate](accounts.md#what-it-costs) for the recipient's country. The rate is kept when credits are charged:
modify and delete settle with it. -202 also stands for a passed [daily cap](accounts.md#how-much). An account
with a credit limit may have a balance below zero.

Opt-outs take any number of E.164 shape (8 to 15 digits), and so does the Originator of replies.

## Polling

An account has three polls of `/api/replies`, and gets one back each minute; a further one is -907 with HTTP 429
and says in `Retry-After` how long to wait. All forms of the request count; one that is refused does not. All API
nodes share the account's three.

The polls of one account are answered one after the other, whatever node they reach. A poll that has waited 60 s
for those before it is -991.

A reply is flagged as retrieved once it was passed on: after the whole answer is written, and the client's side
has acknowledged every octet. A client that hangs up before that, or takes nothing for five minutes, has retrieved
none of them, and gets all of them with its next poll. It should drop those that it has seen: when Cooee itself is killed
between the answer and the flag, they come again. Behind a proxy, it is the proxy that acknowledges; it should not
buffer answers.

## Texts and segments

A text whose characters are all in the GSM 7-bit alphabet goes as such: 160 septets in one SMS, 153 in each
segment of a longer one. `| ^ € { } [ ] ~ \\` and form feed take two. Any other character makes it UCS-2: 70
code units in one SMS, 67 in each segment. No character is replaced, unless the operator has switched on
[smart encoding](accounts.md#what-it-costs) for the account. A pair (an escape, or a surrogate pair such
as an emoji) is never split over two segments, so that a text may need one more than a plain division says; what
is charged is what is sent.
"""

OURS = """## What is ours

The published text is silent on these, or its tables are lost. The choices:

- All codes from -900 to -999, and HTTP 200 for business errors.
- `AllowLongMessages` is told last by RetrieveUserSettings. `GET /api/credits` answers the balance.
- The local form of numbers is understood; the published text has the international form only.
- A NUL or half a surrogate pair in a text is -911.
- Where a number is due, a fraction, an exponent, a boolean or a list is -911; for an amount of credits -130.
- The length limit of 2000 counts UTF-16 code units, carriage returns and line feeds as they came.
- Times that daylight saving skips move forward by the gap; of a time that comes twice the first counts.
- A recipient that the carrier refused or did not deliver stays charged. One that we gave up on before any
  carrier took it is not.
- Lists: order, what counts as changed, `ActiveCampaign`, and that a deleted one is not found.
- Idempotency-Key, Retry-After and the limits on logins.
- Replies: three polls in reserve, what `ReferenceId` means, -950, at most 366 days, 31 days for an Originator
  alone; the forms with Days, dates or Originator flag nothing.
- Opt-outs: the Reason `Admin`, "newest first", `Deleted 0 OptOut numbers`, -942, and that each sub-account has its
  own.
"""


def codes_table() -> str:
    """Every code, as a Markdown table."""
    lines = ["| Code | HTTP | Message | Raised when | |", "|---|---|---|---|---|"]
    for code in TABLE:
        whose = "published" if code.given else "ours"
        lines.append(f"| {code.code} | {code.http} | {message_of(code)} | {code.when} | {whose} |")
    return "\n".join(lines)


def message_of(code: Code) -> str:
    """A code's message, with dots for what is filled in."""
    if code is BAD_ACTION:
        return "Action not specified · Unknown action '…'"
    return code.text.replace("'{}", "'…' …").replace("{}", "…")


def _example(example: Example) -> str:
    parts = [example.note] if example.note else []
    parts += [f"```json\n{example.request}\n```", f"```json\n{example.answer}\n```"]
    return "\n\n".join(parts)


def section(resource: Resource) -> str:
    """A resource, as Markdown."""
    entry = ENTRIES[resource.name]
    actions = tuple(resource.actions or ("",))
    if set(actions) != set(entry.actions) or bool(resource.get) != bool(entry.get):
        raise LookupError(f"the page and the API differ about the actions of {resource.name}")
    parts = [f"## POST /api/{entry.title}", entry.text]
    if entry.fields:
        rows = [f"| `{name}` | {takes} | {meaning} |" for name, takes, meaning in entry.fields]
        parts.append("\n".join(["| field | takes | meaning |", "|---|---|---|", *rows]))
    for action in actions:
        if action:
            parts.append(f"### {action}")
        parts += [_example(example) for example in entry.actions[action]]
    if resource.get is not None:
        parts += [f"### GET /api/{entry.title}", f"```json\n{entry.get}\n```"]
    return "\n\n".join(parts)


def page() -> str:
    """docs/api.md."""
    sections = [section(resource) for resource in RESOURCES]
    return "\n\n".join([_MADE, TOP.rstrip(), *sections, "## Codes", codes_table(), OURS.rstrip()]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
