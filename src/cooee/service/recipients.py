"""What a create request comes to, and the recipients that are left of its lists (wire contract §4, §9).

A million recipients come as 14 MB of JSON. They are checked on one thread beside the event loop, chunk by chunk,
without ever being decoded as a whole; the interpreter is given away between chunks, so that small requests are
answered meanwhile.
"""

from __future__ import annotations

import asyncio
import select
from array import array
from collections.abc import AsyncIterable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from cooee.model.account import Account
from cooee.model.msisdn import Checked, NumberCheck, is_home, is_in, is_mobile, parse, split_json_array
from cooee.model.numbercheck import plain_home_mobile
from cooee.model.originator import Originator
from cooee.model.segments import Segmented

T = TypeVar("T")

LARGE = 256 * 1024
"""Octets of JSON from which on work is done beside the event loop."""
CHUNK = 32 * 1024
AT_ONCE = 500
"""Numbers of a stored list up to which they are checked on the event loop (about 1 ms)."""
PAUSE_S = 0.0002


class CreateCampaign(msgspec.Struct, frozen=True):
    """A create request that passed every check but the credits. `due_at` is UTC ms, None for at once."""

    message: str
    segmented: Segmented
    originator: Originator
    due_at: int | None
    reference: str | None
    recipients: Checked
    idempotency_key: str | None
    body_digest: str
    """SHA-256 of the request's body, in hex; empty when there is no `idempotency_key` to guard."""
    asked_at: int | None = None
    """TimeScheduled as it was asked for, UTC ms, even if past: creates with one reference are told apart by it."""
    lists: tuple[int, ...] = ()
    """The stored lists whose numbers are among the recipients."""


@dataclass(frozen=True, slots=True)
class ModifyCampaign:
    """A modify request that passed every check but the campaign's state and the credits; None: not asked for.

    `due_at` is UTC ms, None for at once; it counts only where `reschedules` says so.
    """

    message: str | None
    segmented: Segmented | None
    originator: Originator | None
    reschedules: bool
    due_at: int | None


Decode = Callable[[bytes], object]
"""Decodes a JSON text, or raises the error that the client gets."""


class Recipients:
    """Checks lists of numbers for an account."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recipients")
        self._countries: set[str] = set()

    async def aside(self, work: Callable[[], T]) -> T:
        """Runs `work` on the thread that is kept for large bodies: one at a time, which bounds memory too."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def prepare(self, account: Account) -> None:
        """To be awaited before `check`: compiling a country's numbering plan, once, is too long for the loop."""
        if account.country not in self._countries:
            await self.aside(lambda: (self.check(account, ("1",)), self.check_records(account, ())))
            self._countries.add(account.country)

    def check(self, account: Account, items: Sequence[object]) -> Checked:
        """What is left of decoded `items`: text, also with commas, or integers; anything else is invalid."""
        if len(items) == 1 and isinstance(items[0], str) and "," not in items[0]:
            return _check_one(items[0], account)
        numbers = self._numbers(account)
        numbers.add(items)
        return numbers.result()

    def check_json(self, account: Account, raw: memoryview, decode: Decode) -> Checked:
        """The same for a large JSON array or string that was not decoded yet. To be run `aside`.

        `decode` is for what is not plain digits, and may raise.
        """
        numbers = self._numbers(account)
        add_json(numbers, raw, decode)
        return numbers.result()

    async def check_with(
        self,
        account: Account,
        given: Sequence[object] | memoryview,
        decode: Decode,
        pages: AsyncIterable[Sequence[int]],
    ) -> Checked:
        """The same for recipients `given` (decoded items, or JSON as `check_json` takes it) together with the
        canonical numbers of stored lists, which come in pages."""
        await self.prepare(account)
        numbers = self._numbers(account)
        if isinstance(given, memoryview):
            await self.aside(lambda: add_json(numbers, given, decode))
        else:
            numbers.add(given)
        small = True
        async for page in pages:
            if len(page) <= AT_ONCE:
                numbers.add_canonical(page)
            else:
                small = False
                await self.aside(lambda page=page: numbers.add_canonical(page))  # type: ignore[misc]
        small = small and not isinstance(given, memoryview)
        return numbers.result() if small else await self.aside(numbers.result)

    def check_records(self, account: Account, records: Sequence[object]) -> Checked:
        """The numbers of any E.164 shape in decoded records of a stored list, `{"Number": "a,b"}` each.

        What is no such record is one invalid number.
        """
        numbers = shaped(account)
        numbers.add([_number_of(record) for record in records])
        return numbers.result()

    def check_records_json(self, account: Account, raw: memoryview, decode: Decode) -> Checked:
        """The same for a large JSON array of them. To be run `aside`."""
        numbers = shaped(account)
        for chunk in split_json_array(raw, CHUNK):
            if not numbers.add_json_records(chunk):
                records = decode(b"[" + chunk + b"]")
                if isinstance(records, list):
                    numbers.add([_number_of(record) for record in records])
            give_way()
        return numbers.result()

    @staticmethod
    def _numbers(account: Account) -> NumberCheck:
        return NumberCheck(
            account.country,
            international=account.allow_international,
            plan=not account.shape_only,
            countries=account.countries,
        )


def shaped(account: Account) -> NumberCheck:
    """For lists that take any number of E.164 shape (wire contract §9)."""
    return NumberCheck(account.country, international=True, plan=False)


def add_json(numbers: NumberCheck, raw: memoryview, decode: Decode) -> None:
    """Adds a large JSON array or string that was not decoded yet, giving the interpreter away in between."""
    if raw[0] != 0x5B:
        numbers.add([decode(bytes(raw))])
        return
    for chunk in split_json_array(raw, CHUNK):
        if not numbers.add_json_strings(chunk):
            items = decode(b"[" + chunk + b"]")
            if isinstance(items, list):
                numbers.add(items)
        give_way()


def _number_of(record: object) -> object:
    found = None
    if isinstance(record, dict):
        for name, value in record.items():
            if len(name) == 6 and name.lower() == "number":
                found = value
    return found


def _check_one(text: str, account: Account) -> Checked:
    """The commonest list has one number; it needs no list's machinery."""
    home, countries = account.country, account.countries
    number = plain_home_mobile(text, home)
    if number is not None and (not countries or home in countries):
        return Checked(array("q", (number,)), 0, 0, 0)
    if number is None:
        number = parse(text, home)
    if number is None or not (account.shape_only or is_mobile(number)):
        return Checked(array("q"), 1, 0, 0)
    at_home = is_home(number, home)
    if not (at_home or account.allow_international) or not (
        not countries or (at_home and home in countries) or is_in(number, countries)
    ):
        return Checked(array("q"), 0, 0, 1)
    return Checked(array("q", (number,)), 0, 0, 0)


def give_way() -> None:
    """Lets other threads have the interpreter lock.

    Giving it back and taking it again at once would starve them: whoever waits for it only insists when nobody
    has let go of it for a whole switch interval. So a moment is slept (measured: small requests wait 1 ms
    instead of up to 760 ms while a million numbers are checked).
    """
    select.select((), (), (), PAUSE_S)
