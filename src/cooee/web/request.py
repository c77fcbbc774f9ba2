"""A request that has been let in, and its fields as the handlers ask for them (wire contract §1)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from cooee.model.account import Account
from cooee.model.clock import Clock
from cooee.model.errors import ApiError
from cooee.service.accounts import Accounts
from cooee.service.audience import Audience
from cooee.service.optouts import Optouts
from cooee.service.recipients import LARGE, CreateCampaign, ModifyCampaign, Recipients
from cooee.service.replies import Replies
from cooee.service.reports import Reports
from cooee.web.body import decode_value
from cooee.web.respond import Streamed

_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}
_WHOLE = re.compile(r"-?[0-9]{1,4000}")


class Accepted(Protocol):
    """What a create answers with."""

    @property
    def campaign_id(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def credits(self) -> int: ...


class CampaignActions(Protocol):
    """The use cases that the campaign resource calls; service.campaigns has them."""

    async def create(self, account: Account, request: CreateCampaign, /) -> Accepted: ...
    async def replay(self, account: Account, key: str, digest: str, /) -> Accepted | None: ...
    async def modify(self, account: Account, campaign_id: int, request: ModifyCampaign, /) -> Accepted: ...
    async def status(self, account: Account, campaign_id: int, /) -> str: ...
    async def pause(self, account_id: int, campaign_id: int, /) -> None: ...
    async def unpause(self, account_id: int, campaign_id: int, /) -> None: ...
    async def delete(self, account_id: int, campaign_id: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers call."""

    accounts: Accounts
    campaigns: CampaignActions
    reports: Reports
    audience: Audience
    replies: Replies
    optouts: Optouts
    recipients: Recipients
    clock: Clock


class Fields:
    """The fields of a request body. Names are given as the documentation spells them; case does not matter."""

    __slots__ = ("_found",)

    def __init__(self, found: dict[str, Any]) -> None:
        """`found` is as `split_fields` returns it."""
        self._found = found

    def undecoded(self, name: str) -> memoryview | None:
        """A value of more than LARGE octets, as JSON text; None for every other, and for an absent one."""
        found = self._found.get(name.lower())
        if type(found) is not msgspec.Raw:
            return None
        view = memoryview(found)
        return view if view.nbytes > LARGE else None

    def given(self, name: str) -> bool:
        """Whether the field is there and not null."""
        found = self._found.get(name.lower())
        return found is not None and (type(found) is not msgspec.Raw or bytes(memoryview(found)[:5]) != b"null")

    def value(self, name: str) -> object:
        """A value, or None where the field is absent or null."""
        found = self._found.get(name.lower())
        return decode_value(found) if type(found) is msgspec.Raw else found

    def listed(self, name: str) -> Sequence[object] | memoryview | None:
        """A list, or the one number or text that stands for a list of one; None where it is absent or null.

        JSON text where it is large. ApiError -911 for anything else.
        """
        large = self.undecoded(name)
        if large is not None:
            if large[0] in b'["-0123456789':
                return large
        else:
            value = self.value(name)
            if value is None or type(value) is list:
                return value
            if type(value) in (str, int):
                return (value,)
        raise ApiError.field(name, "must be a list of numbers")

    def text(self, name: str, *, numbers: bool = False) -> str | None:
        """A text, with `numbers` also a whole number, or None; ApiError -911 for any other type."""
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value
        if numbers and type(value) is int and abs(value) < 10**1000:
            return str(value)
        raise ApiError.field(name, "must be text")

    def whole(self, name: str) -> int:
        """A whole number, also written as text; ApiError -911 for anything else and where it is missing."""
        value = self.value(name)
        if value is None:
            raise ApiError.field(name, "is missing")
        number = whole_number(value)
        if number is None:
            raise ApiError.field(name, "must be a whole number")
        return number

    def flag(self, name: str) -> bool:
        """Yes or no, also as 1 or 0 and as text; False where it is missing, ApiError -911 for anything else."""
        value = self.value(name)
        if value is None:
            return False
        word = str(value).strip().lower() if isinstance(value, str | int) else "?"
        if word not in _FLAGS:
            raise ApiError.field(name, "must be true or false")
        return _FLAGS[word]

    def clear(self) -> None:
        """Lets go of the body."""
        self._found = {}


def whole_number(value: object) -> int | None:
    """An int, or the int that a text of digits is; None for everything else (wire contract §1)."""
    if type(value) is int:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value := value.strip()):
        return int(value)
    return None


@dataclass(slots=True)
class Request:
    """An authenticated request whose body is a JSON object.

    `digest` is the SHA-256 of the body where there is an Idempotency-Key, else "". `release` lets go of the body:
    to be called before a large list of recipients is stored.
    """

    account: Account
    fields: Fields
    key: str | None
    digest: str
    release: Callable[[], None]


Answer: TypeAlias = "dict[str, object] | bytes | Streamed"
Handler = Callable[[Services, Request], Awaitable[Answer]]
