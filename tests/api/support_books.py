"""A plain model of accounts and campaigns: what the wire contract says of credits, states and recipients.

Nothing here knows how Cooee stores or sends. A campaign is a dictionary of people, and every rule is a loop over
it. Times are UTC ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

TEXTS = {"short": 1, "x" * 161: 2, "y" * 400: 3, "ł" * 71: 2}
"""Texts and the segments they come to (wire contract §3)."""

WAITING, OUT, RETRY, UNCERTAIN = "waiting", "out", "retry", "uncertain"
SENT, FAILED, WASHED, CANCELLED = "sent", "failed", "washed", "cancelled"
OPEN = (WAITING, OUT, RETRY, UNCERTAIN)

SHORT, GONE, BUSY = -202, -930, -931


@dataclass
class Person:
    """One recipient. `doubted`: was uncertain once, and stays charged whatever becomes of it."""

    state: str = WAITING
    doubted: bool = False
    decided_at: int = 0
    tried: bool = False
    """Has a row of its own."""


@dataclass
class Planned:
    """A campaign. `due`: None where it goes, or went, at once."""

    id: int
    account: Holder
    text: str
    originator: str
    reference: str | None
    due: int | None
    state: str
    started: bool
    people: dict[int, Person] = field(default_factory=dict)
    charged: int = 0
    refunded: int = 0

    @property
    def each(self) -> int:
        return TEXTS[self.text]

    @property
    def unstarted(self) -> bool:
        """It may be modified and added to."""
        return self.state == "Scheduled" or (self.state == "Paused" and not self.started)

    def refund(self, amount: int) -> None:
        self.refunded += amount
        self.account.credits += amount

    def charge(self, amount: int) -> None:
        self.charged += amount
        self.account.credits -= amount

    def leaves(self, person: Person, state: str) -> None:
        """Nothing will be sent to this one: the credits return, unless it may have been reached."""
        if person.doubted:
            person.state = FAILED
        else:
            person.state = state
            self.refund(self.each)


@dataclass
class Holder:
    """An account."""

    credits: int
    given: int = 0
    """Opening balance and top-ups."""
    opted_out: set[int] = field(default_factory=set)
    campaigns: list[Planned] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.given = self.credits

    def top_up(self, amount: int) -> int:
        """The code."""
        if amount <= 0:
            return -130
        self.credits += amount
        self.given += amount
        return 0

    # --- what clients ask for ------------------------------------------------------------------------------

    def create(
        self,
        numbers: Iterable[int],
        text: str,
        originator: str,
        asked: int | None,
        reference: str | None,
        now: int,
    ) -> tuple[int, Planned | None, int]:
        """Code, the campaign that the recipients are in (its id is 0 when it is new), and how many were added."""
        wanted = set(numbers)
        due = asked if asked is not None and asked > now else None
        target = None
        for planned in self.campaigns:
            same = (planned.text, planned.originator, planned.reference) == (text, originator, reference)
            same_time = planned.due == asked or (planned.due is None and due is None)
            if reference is not None and same and same_time and planned.unstarted:
                target = planned
        if target is not None:
            wanted -= target.people.keys()
        cost = len(wanted) * TEXTS[text]
        if cost > self.credits:
            return SHORT, None, 0
        if target is None:
            state = "Running" if due is None else "Scheduled"
            target = Planned(0, self, text, originator, reference, due, state, started=due is None)
            self.campaigns.append(target)
        target.people |= {number: Person() for number in wanted}
        target.charge(cost)
        return 0, target, len(wanted)

    def find(self, campaign: int) -> Planned | None:
        return next((planned for planned in self.campaigns if planned.id == campaign), None)

    def modify(self, campaign: int, text: str | None, originator: str | None, asked: int | None, now: int) -> int:
        planned = self.find(campaign)
        if planned is None:
            return GONE
        if not planned.unstarted:
            return BUSY
        if text is not None:
            more = len(planned.people) * (TEXTS[text] - planned.each)
            if more > self.credits:
                return SHORT
            if more > 0:
                planned.charge(more)
            else:
                planned.refund(-more)
            planned.text = text
        planned.originator = originator or planned.originator
        if asked is not None:
            planned.due = asked if asked > now else None
            if planned.due is None and planned.state == "Scheduled":
                planned.state = "Running"
        return 0

    def act(self, action: str, campaign: int, now: int) -> int:
        planned = self.find(campaign)
        if planned is None:
            return GONE
        match action, planned.state:
            case "pause", "Scheduled" | "Running":
                planned.state = "Paused"
            case "unpause", "Paused":
                later = not planned.started and planned.due is not None and planned.due > now
                planned.state = "Scheduled" if later else "Running"
            case "delete", "Scheduled" | "Paused":
                planned.state = "Deleted"
                for person in planned.people.values():
                    if person.state in (WAITING, RETRY):
                        planned.leaves(person, CANCELLED)
            case ("pause", "Paused") | ("delete", "Deleted"):
                pass
            case _:
                return BUSY
        return 0

    # --- what happens by itself ----------------------------------------------------------------------------

    def time_passes(self, now: int, busy: set[int]) -> None:
        """What is due starts, doubts are decided, what is done is finished. `busy`: campaigns that are out."""
        for planned in self.campaigns:
            if planned.state == "Scheduled" and planned.due is not None and planned.due <= now:
                planned.state = "Running"
            if planned.state == "Running":
                planned.started = True
            for person in planned.people.values():
                if person.state == UNCERTAIN and person.decided_at <= now:
                    person.state = FAILED if planned.state == "Deleted" else RETRY
            settled = not any(person.state in OPEN for person in planned.people.values())
            if planned.state == "Running" and settled and planned.id not in busy:
                planned.state = "Finished"

    def marked(self, planned: Planned, number: int, *, written: bool) -> None:
        """It was claimed: written to the carrier, or washed."""
        person = planned.people[number]
        assert planned.state == "Running", f"{number} went out while its campaign is {planned.state}"
        assert person.state in (WAITING, RETRY), f"{number} went out again: {person.state}"
        assert written == (number not in self.opted_out), f"{number}: written {written}"
        if written:
            person.state = OUT
        else:
            person.tried = True
            planned.leaves(person, WASHED)

    def answered(self, planned: Planned, number: int, what: str, decided_at: int) -> None:
        """What the carrier said."""
        person = planned.people[number]
        assert person.state == OUT
        person.tried = True
        match what:
            case "accept":
                person.state = SENT
            case "fail":
                person.state = FAILED
            case "refuse" if planned.state == "Deleted":
                planned.leaves(person, CANCELLED)
            case "refuse":
                person.state = RETRY
            case "doubt":
                person.state, person.doubted, person.decided_at = UNCERTAIN, True, decided_at
