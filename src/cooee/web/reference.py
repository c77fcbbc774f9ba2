"""The page docs/api.md, made from the table of codes, the table of resources and the examples of `entries.py`.

`python -m cooee.web.reference docs/api.md` writes it; a test fails when it is not current, and another one sends
the examples to a running API. A resource or an action without an example here is a LookupError.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cooee.model.errors import BAD_ACTION, TABLE, Code
from cooee.web.api import RESOURCES, Resource
from cooee.web.entries import ENTRIES, Example

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
- Of large bodies (over 256 KiB) two are read at a time, one of each account; others wait. One that brings nothing
  for 20 s is -900.
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
too. An IPv6 address counts as its /64, and all of a /48 together bear three times as much as one address: who
has one, or shares it, may keep others in it out. Addresses elsewhere are not affected. Passwords that were not
verified lately are verified one at a time; when 64 wait, or 4 from one address, the next is -907 with
`Retry-After: 1`.

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
none of them, and gets all of them with its next poll. It should drop those that it has seen: when Cooee itself is
killed between the answer and the flag, they come again. Behind a proxy, it is the proxy that acknowledges; it
should not buffer answers.

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
