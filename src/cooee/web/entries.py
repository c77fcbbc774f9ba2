"""What the documents say of each resource: prose, fields, examples. `reference.py` and `openapi.py` print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
                "For `create` and `modify`. In the past, or absent from `create`: at once. "
                "An empty text is -922: a program that has lost its time would else send at once.",
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
