"""THE table of wire codes, and the exceptions that carry one of its rows (wire contract §2).

Every error that a client can see is one row here; the API reference is made from this table, and a test raises
each. An exception that is not an `ApiError` never reaches a client as anything but -990.

    CooeeError                 anything of ours that a person should read
    ├── ApiError               a request was refused; carries its row, its message, perhaps seconds to wait
    ├── ConfigError            a setting, a key file or a database address is wrong; the text says what to do
    └── StoreError             the database
        ├── StoreUnavailable   nothing was written: certain
        └── CommitUnknown      the connection broke during COMMIT: look the request up before answering
"""

from __future__ import annotations

from dataclasses import dataclass


class CooeeError(Exception):
    """Something of ours that a person should read; `str()` of it is one clear sentence."""


class ConfigError(CooeeError):
    """A setting, a file or an address is wrong. The text says which, and what to do."""


class StoreError(CooeeError):
    """The database did not do what was asked."""


class StoreUnavailable(StoreError):
    """Nothing was written, and that is certain: try again."""


class CommitUnknown(StoreError):
    """The connection broke while committing: the change may be there or not."""


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table: the wire number, its usual HTTP status, its text and when it is raised.

    `text` may hold one `{}`, filled when raised. `given` tells whether the number is the published one (True)
    or ours (False). `business` errors come with HTTP 200 unless the setting `error_http_status` says otherwise.
    """

    code: int
    http: int
    text: str
    when: str
    given: bool = False

    @property
    def business(self) -> bool:
        """True for a request that was understood and refused (HTTP 200 by default)."""
        return self.http == 200


SUCCESS = Code(0, 200, "success", "The request was carried out.", given=True)
NO_DESTINATION = Code(
    -111, 200, "No valid destination number(s) specified", "No recipient is left after checking.", given=True
)
NO_TEXT = Code(
    -117, 200, "Campaign message text not specified", "Message is missing or only white space.", given=True
)
CREDITS_NOT_ALLOWED = Code(
    -129, 200, "Not allowed to add credits", "The account is not pre-approved for top-ups.", given=True
)
CREDITS_INVALID = Code(
    -130, 200, "Invalid amount of credits to add", "Missing, zero, negative or no whole number.", given=True
)
CREDITS_SHORT = Code(
    -202,
    200,
    "Insufficient credits available to start campaign",
    "The balance is too low, or the account's daily cap would be passed.",
    given=True,
)
BAD_JSON = Code(
    -900,
    400,
    "Request body is not {}",
    "The body is not valid JSON, or not a JSON object; or what came is not HTTP.",
)
UNAUTHORISED = Code(-901, 401, "Authentication failed", "Basic credentials are missing or wrong.")
SUSPENDED = Code(-902, 403, "Account is suspended", "The operator has suspended the account.")
NO_RESOURCE = Code(-904, 404, "No such resource", "The path is none of the API's.")
BAD_METHOD = Code(-905, 405, "Method not allowed", "Resources are called with POST.")
TOO_LARGE = Code(
    -906,
    413,
    "Request body too large",
    "The body is over the configured limit; or, with HTTP 431, the headers are.",
)
TOO_MANY = Code(
    -907, 429, "Too many requests", "Too many failed logins or polls; Retry-After says how long to wait."
)
BAD_ACTION = Code(-910, 200, "{}", "Action is missing, or none of this resource's.")
BAD_FIELD = Code(-911, 200, "Field '{}", "A field has the wrong type or form; the message names it.")
NO_ORIGINATOR = Code(-920, 200, "Originator not specified", "Originator is missing or empty.")
BAD_ORIGINATOR = Code(-921, 200, "Originator is not {}", "Not a valid sender, or not approved.")
BAD_TIME = Code(-922, 200, "TimeScheduled is not valid (YYYYMMDDHHMM)", "TimeScheduled is no local date and time.")
TOO_LONG = Code(-923, 200, "Message is longer than 2000 characters", "More than 2000 UTF-16 code units.")
NO_UNICODE = Code(
    -924, 200, "Account does not allow unicode messages", "The text needs UCS-2 and the account may not."
)
NO_LONG = Code(
    -925, 200, "Account does not allow messages longer than one SMS", "More than one segment, not permitted."
)
NO_INTERNATIONAL = Code(
    -926,
    200,
    "Account does not allow international destinations",
    "Every destination was international, or in none of the account's countries.",
)
NO_CAMPAIGN = Code(-930, 200, "Campaign not found", "No campaign of this account has that id.")
CAMPAIGN_STATE = Code(-931, 200, "Campaign cannot be {}", "Its state does not allow the action.")
NO_LIST = Code(-940, 200, "List not found: {}", "No list of this account has that CrmId.")
NO_DESCRIPTION = Code(-941, 200, "List description not specified", "Description is missing or empty.")
NO_NUMBER = Code(-942, 200, "No valid number(s) specified", "No number is left after checking.")
BAD_RANGE = Code(-950, 200, "Date range is not valid", "Days or dates are out of range.")
INTERNAL = Code(
    -990, 500, "Internal error (request {})", "A fault of ours, or an unknown outcome; the log holds the id."
)
UNAVAILABLE = Code(
    -991,
    503,
    "Temporarily unavailable, nothing was accepted",
    "The database is away or a disk is full; try again.",
)

TABLE: tuple[Code, ...] = (
    SUCCESS, NO_DESTINATION, NO_TEXT, CREDITS_NOT_ALLOWED, CREDITS_INVALID, CREDITS_SHORT,
    BAD_JSON, UNAUTHORISED, SUSPENDED, NO_RESOURCE, BAD_METHOD, TOO_LARGE, TOO_MANY,
    BAD_ACTION, BAD_FIELD, NO_ORIGINATOR, BAD_ORIGINATOR, BAD_TIME, TOO_LONG, NO_UNICODE, NO_LONG,
    NO_INTERNATIONAL, NO_CAMPAIGN, CAMPAIGN_STATE, NO_LIST, NO_DESCRIPTION, NO_NUMBER, BAD_RANGE,
    INTERNAL, UNAVAILABLE,
)  # fmt: skip
"""Every code that the API can answer, in the order of the reference page."""


class ApiError(CooeeError):
    """A request was refused: `code` is its row, `str()` its message, `retry_after` seconds to wait or None."""

    def __init__(self, code: Code, *detail: object, retry_after: int | None = None) -> None:
        super().__init__(code.text.format(*detail))
        self.code = code
        self.retry_after = retry_after

    @classmethod
    def field(cls, name: str, takes: str) -> ApiError:
        """-911 for field `name`; `takes` ends the sentence, e.g. "must be a whole number"."""
        return cls(BAD_FIELD, f"{name}' {takes}")
