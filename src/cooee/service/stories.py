"""What happened to one recipient, from top to bottom, in plain words.

A story answers "did they get it?" first. Its steps are what the rows say, no more: times that were not kept are
not made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cooee.model.account import Account
from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import MINUTE
from cooee.model.codetable import CodeTable, source_of
from cooee.model.message import FLAG_RESENT, FLAG_UNCERTAIN, GAVE_UP, MessageState
from cooee.store import inspect
from cooee.store.database import Database, Tx
from cooee.store.history import CampaignFull
from cooee.store.inspect import AttemptView, MessageView, WaitingView

Mood = Literal["good", "bad", "unsure", "plain"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened. `at` is UTC ms, None where the time was not kept."""

    at: int | None
    mood: Mood
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """One recipient's story. `state` is a word of service/history.py's STATES; `said`: the carrier's own words;
    `first_at`: when it was first handed over, `changed_at`: when its outcome changed last, UTC ms; `credits`: None
    before that."""

    state: str
    mood: Mood
    answer: str
    steps: Sequence[Step]
    said: str | None
    code: int
    credits: int | None
    refunded: bool
    first_at: int | None
    changed_at: int | None


class Stories:
    """Tells them."""

    def __init__(self, database: Database, codes: CodeTable) -> None:
        self._database = database
        self._codes = codes

    async def of(self, account: Account, campaign: CampaignFull, destination: int) -> Story | None:
        """The story of a recipient; None when the campaign does not have it."""

        async def look(tx: Tx) -> MessageView | WaitingView | None:
            key = (account.id, campaign.line.id, destination)
            return await inspect.message(tx, *key) or await inspect.waiting(tx, *key)

        found = await self._database.read(look)
        if found is None:
            return None
        accepted = _accepted(account, campaign)
        if isinstance(found, WaitingView):
            return _waiting(campaign, found, accepted)
        return _told(campaign, found, accepted, self._codes)


def _accepted(account: Account, campaign: CampaignFull) -> list[Step]:
    line = campaign.line
    others = line.messages - 1
    company = f" with {others:,} other{'' if others == 1 else 's'}" if others else ""
    steps = [
        Step(
            line.created_at,
            "plain",
            "Accepted",
            f"From {account.name}, from sender {line.originator}{company}. {_count(line.segments, 'segment')}.",
        )
    ]
    if line.due_at is not None:
        steps.append(Step(line.due_at, "plain", "Due", "It was scheduled for this time."))
    return steps


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _waiting(campaign: CampaignFull, found: WaitingView, steps: list[Step]) -> Story:
    state, answer, title, text = _where(campaign, found)
    mood: Mood = "bad" if state == "cancelled" else "plain"
    steps.append(Step(found.not_before, mood, title, text))
    refunded = state == "cancelled"
    return Story(state, mood, answer, steps, None, 0, None, refunded, None, None)


def _where(campaign: CampaignFull, found: WaitingView) -> tuple[str, str, str, str]:
    carrier = f" to carrier {found.carrier}" if found.carrier else ""
    if found.marked:
        return "sending", "It is on its way right now.", "Being sent", f"On its way{carrier}; no answer yet."
    state = campaign.line.state
    if state is CampaignState.DELETED or found.state is BatchState.CANCELLED:
        return (
            "cancelled",
            "No. The campaign was deleted before it was sent.",
            "Cancelled",
            "It was never handed over, and its credits were given back.",
        )
    why = {
        CampaignState.SCHEDULED: "Its campaign has not started yet.",
        CampaignState.PAUSED: "Its campaign is paused.",
    }.get(state)
    if why is None and found.state is BatchState.DELAYED:
        why = "The send window is closed; it goes when the window opens."
    if why is None:
        why = "Its turn has not come yet." if found.carrier else "There is no carrier for it at the moment."
    return "waiting", f"Not yet. {why}", "Waiting", why


def _told(campaign: CampaignFull, found: MessageView, steps: list[Step], codes: CodeTable) -> Story:
    line = campaign.line
    begun = max(line.created_at, line.due_at or 0)
    if found.state is not MessageState.WASHED and found.first_at - begun >= MINUTE:
        steps.append(
            Step(None, "plain", "Waited", "For its turn, for the carrier's rate, or for the send window.")
        )
    for earlier in found.attempts:
        steps += _attempt(earlier, found, last=False)
    refunded = found.state in (MessageState.WASHED, MessageState.CANCELLED)
    if found.state not in (MessageState.WASHED, MessageState.CANCELLED):
        steps += _attempt(found.last, found, last=True)
    mood, answer, outcome = _outcome(found, codes)
    gave_up = found.state is MessageState.FAILED and found.code == GAVE_UP
    refunded = refunded or (gave_up and not found.last.accepted and not found.flags)
    if outcome is not None:
        steps.append(outcome)
    if refunded:
        steps.append(Step(found.last.at, "plain", "Refunded", f"{_count(found.credits, 'credit')} given back."))
    return Story(
        found.state.name.lower(),
        mood,
        answer,
        steps,
        found.detail,
        found.code,
        found.credits,
        refunded,
        found.first_at,
        found.last.at,
    )


def _parts(mask: int, parts: int) -> str:
    """Which parts a mask names, for a sentence."""
    if parts == 1:
        return "it"
    which = [str(part + 1) for part in range(parts) if mask >> part & 1]
    if len(which) == parts:
        return f"all {parts} parts"
    return f"part {which[0]}" if len(which) == 1 else f"parts {', '.join(which)} of {parts}"


def _attempt(each: AttemptView, found: MessageView, *, last: bool) -> list[Step]:
    carrier = f"carrier {each.carrier}" if each.carrier else "a carrier that is gone"
    at = found.first_at if each.no == 1 else None
    number = "" if each.no == 1 else f", attempt {each.no}"
    steps = []
    if each.accepted:
        took = f"{carrier.capitalize()} took {_parts(each.accepted, each.parts)}."
        steps.append(Step(at, "plain", f"Handed over{number}", took))
    elif last and found.state is MessageState.RETRYING:
        steps.append(
            Step(at, "unsure", f"Refused for now{number}", f"{carrier.capitalize()} will be asked again.")
        )
    elif last and found.state is MessageState.SENDING:
        steps.append(Step(at, "plain", f"Being sent again{number}", f"On its way to {carrier}; no answer yet."))
    elif last and found.state is MessageState.FAILED:
        steps.append(Step(at, "bad", f"Not taken{number}", f"{carrier.capitalize()} did not take it."))
    else:
        steps.append(
            Step(at, "unsure", f"No answer{number}", f"It was written to {carrier}, and the answer never came.")
        )
    if found.flags & FLAG_RESENT and not last:
        steps.append(Step(each.at, "unsure", "Sent again", "Nobody knew whether it had arrived."))
    if each.delivered and not (last and found.state is MessageState.DELIVERED):
        steps.append(Step(None, "good", "Receipt", f"Delivered: {_parts(each.delivered, each.parts)}."))
    failed = each.failed & ~each.delivered
    if failed and each.parts > 1:
        steps.append(Step(None, "bad", "Receipt", f"Not delivered: {_parts(failed, each.parts)}."))
    return steps


def _outcome(found: MessageView, codes: CodeTable) -> tuple[Mood, str, Step | None]:
    at = found.last.at
    match found.state:
        case MessageState.DELIVERED:
            text = (
                "The carrier's receipt says so" if found.last.parts == 1 else "The receipts of every part say so"
            )
            return "good", "Yes. It was delivered to the phone.", Step(at, "good", "Delivered", f"{text}.")
        case MessageState.HANDED_OVER:
            return (
                "plain",
                "Probably on its way. The carrier has it, and has not said yet whether it arrived.",
                None,
            )
        case MessageState.FAILED:
            reason = f"Code {codes.words(found.code, source_of(found.last.failed))}."
            answer = "No. It was not delivered."
            if found.flags & FLAG_UNCERTAIN:
                answer = "As far as is known, no; an attempt at it was never answered."
            return "bad", answer, Step(at, "bad", "Failed", reason)
        case MessageState.WASHED:
            return (
                "plain",
                "No. The number had opted out, so it was not sent.",
                Step(at, "plain", "Washed", "The number was among your opt-outs when its turn came."),
            )
        case MessageState.CANCELLED:
            return (
                "plain",
                "No. The campaign was deleted while it waited to be tried again.",
                Step(at, "plain", "Cancelled", "It was not tried again."),
            )
        case MessageState.UNCERTAIN:
            return (
                "unsure",
                "Nobody knows yet. The connection broke before the carrier answered.",
                Step(
                    found.uncertain_until,
                    "unsure",
                    "Uncertain",
                    "A late answer or a receipt may still settle it; else it is decided at this time."
                    if found.uncertain_until
                    else "It is held for the operator to decide.",
                ),
            )
        case _:
            return "unsure", "Not yet. The carrier refused it for now, and it is tried again.", None
