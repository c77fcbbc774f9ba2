"""The fields of a message as a form has them: read, checked, and told what is wrong, field by field."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cooee.model.account import Account
from cooee.model.clock import MINUTE, local_to_ms, ms_to_local
from cooee.model.gsm import smart
from cooee.model.originator import Originator, parse_originator
from cooee.model.segments import Encoding, segment, utf16_length
from cooee.web.console.visit import Visit

MAX_MESSAGE = 2000
MAX_REFERENCE = 255


@dataclass(slots=True)
class MessageForm:
    """What was typed, what it means, and `problems` by field. `text` is what is sent of `message`; `due_at` is UTC
    ms, None for at once."""

    message: str = ""
    text: str = ""
    originator: str = ""
    reference: str = ""
    later: bool = False
    at: str = ""
    due_at: int | None = None
    sender: Originator | None = None
    problems: dict[str, str] = field(default_factory=dict)


def read_form(visit: Visit) -> MessageForm:
    """The form as it was sent."""
    account = visit.account
    form = MessageForm(
        message=visit.text("message"),
        originator=visit.text("originator").strip(),
        reference=visit.text("reference").strip(),
        later=visit.text("when") == "later",
        at=visit.text("at").strip()[:32],
    )
    problem = message_problem(account, form.message)
    if problem:
        form.problems["message"] = problem
    form.text = as_sent(account, form.message)
    form.sender = parse_originator(form.originator[:64])
    if not form.originator:
        form.problems["originator"] = "Say who it is from."
    elif form.sender is not None:
        problem = sender_problem(account, form.sender)
        if problem:
            form.problems["originator"] = problem
    else:
        form.problems["originator"] = (
            "A sender is a number in international form, a short code of 3 to 8 digits, or up to 11 letters, "
            "digits and - _ . & with a letter among them."
        )
    if len(form.reference) > MAX_REFERENCE or "\0" in form.reference:
        form.problems["reference"] = f"At most {MAX_REFERENCE} characters."
    if form.later:
        form.due_at = _due(visit, form)
    return form


def _due(visit: Visit, form: MessageForm) -> int | None:
    try:
        local = datetime.fromisoformat(form.at).replace(second=0, microsecond=0)
        if local.tzinfo is not None:
            raise ValueError
        due = local_to_ms(local, visit.zone)
    except (ValueError, OverflowError):
        form.problems["at"] = "Say the day and the time."
        return None
    now = visit.services.clock.now_ms()
    if due < now - MINUTE:
        form.problems["at"] = f"That time has passed: it is {ms_to_local(now, visit.zone):%H:%M} there now."
    return due


def as_sent(account: Account, message: str) -> str:
    """The text as it goes out: with GSM twins where the account has smart encoding."""
    return smart(message) if account.smart_encoding and message else message


def sender_problem(account: Account, sender: Originator) -> str | None:
    """What keeps this account from using a sender."""
    if account.approved_only and sender.text not in account.approved:
        return f"{sender.text} is not approved for this account. Ask your operator, or choose one that is."
    return None


def message_problem(account: Account, text: str) -> str | None:
    """What keeps a text from being sent by this account."""
    if not text.strip():
        return "Write the message."
    if "\0" in text:
        return "It holds a character that no SMS can carry."
    if utf16_length(text) > MAX_MESSAGE:
        return f"It is longer than {MAX_MESSAGE:,} characters."
    text = as_sent(account, text)
    if not text.strip():
        return "It holds nothing that can be seen."
    try:
        segmented = segment(text)
    except ValueError:
        return "It holds half a character: type it again."
    if segmented.encoding is Encoding.UCS2 and not account.allow_unicode:
        return "It has characters that need unicode, which this account may not send."
    if segmented.count > 1 and not account.allow_long:
        return "It is longer than one SMS, and this account may not send longer ones."
    return None


def local_input(ms: int, visit: Visit) -> str:
    """An instant as a datetime-local field has it, in the account's zone."""
    return ms_to_local(ms, visit.zone).isoformat(timespec="minutes")
