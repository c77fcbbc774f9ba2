"""Keywords: which words opt a handset out or bring it back, for whom they work, and what is answered to them."""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.gsm import smart
from cooee.model.inbound import KEYWORD_LENGTH, ReplyKind, keyword_form
from cooee.model.segments import Encoding, segment, utf16_length
from cooee.service import audit
from cooee.service.accounts import named
from cooee.store.database import Database, Row, Tx

ANSWER_LENGTH = 2000
"""UTF-16 code units of an answer at most, as of any message (wire contract §3)."""


class Keywords:
    """The use cases around keywords. ConfigError says what cannot be."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, word: str, kind: ReplyKind) -> str:
        """A whole message of that word does as `kind` says from now on; the word as it is compared."""
        form = _form(word)
        noted = audit.change("keyword added")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            await tx.run("add_keyword", word=form, kind=kind)
            await audit.note(tx, noted, now, f"{form}, {kind.name}")

        await self._database.write(operation)
        return form

    async def remove(self, word: str) -> str:
        """That word means nothing special any more."""
        form = _form(word)
        noted = audit.change("keyword removed")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            if not await tx.run("drop_keyword", word=form):
                raise ConfigError(f"'{form}' is no keyword: cooee keyword list shows those there are")
            await audit.note(tx, noted, now, form)

        await self._database.write(operation)
        return form

    async def list(self) -> Sequence[tuple[str, ReplyKind]]:
        """Every word, those that opt out first."""

        async def read(tx: Tx) -> Sequence[Row]:
            return await tx.all("list_keywords")

        return [(row[0], ReplyKind(row[1])) for row in await self._database.read(read)]

    async def use(self, account: str, *, on: bool) -> None:
        """Whether keywords work for an account's numbers. A reply to an opt-out number opts out all the same."""
        noted = audit.change("keywords changed", account=account)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            await tx.run("set_keywords", id=(await named(tx, account)).id, keywords=int(on))
            await audit.note(tx, noted, now, "on" if on else "off")

        await self._database.write(operation)

    async def answer(self, account: str, kind: ReplyKind, text: str) -> None:
        """What an account answers to a keyword; an empty text for nothing."""
        if utf16_length(text) > ANSWER_LENGTH:
            raise ConfigError(f"an answer has at most {ANSWER_LENGTH} characters")
        if text and not smart(text).strip():
            raise ConfigError("an answer needs something to read; give an empty text for no answer")

        noted = audit.change("keywords changed", account=account)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            found = await named(tx, account)
            if not text:
                await tx.run("drop_keyword_answer", account_id=found.id, kind=kind)
                await audit.note(tx, noted, now, f"no answer to {kind.name}")
                return
            try:
                cut = segment(smart(text) if found.smart_encoding else text)
            except ValueError as error:
                raise ConfigError(f"the answer cannot be sent: {error}") from None
            if cut.encoding is Encoding.UCS2 and not found.allow_unicode:
                raise ConfigError(f"the answer needs Unicode, which account {account} may not send")
            if cut.count > 1 and not found.allow_long:
                raise ConfigError(f"the answer takes {cut.count} segments, and account {account} may send one")
            await tx.run("set_keyword_answer", account_id=found.id, kind=kind, body=text)
            await audit.note(tx, noted, now, f"another answer to {kind.name}")

        await self._database.write(operation)

    async def settings(self, account: str) -> tuple[bool, str | None, str | None]:
        """Whether keywords work for an account, and what it answers to STOP and to START."""

        async def read(tx: Tx) -> Row:
            (row,) = await tx.many_all("keyword_accounts", [((await named(tx, account)).id,)])
            return row

        row = await self._database.read(read)
        return bool(row[1]), row[3], row[4]


def _form(word: str) -> str:
    form = keyword_form(word)
    if not form:
        raise ConfigError(f"'{word}' can be no keyword: use up to {KEYWORD_LENGTH} letters, digits and blanks")
    return form
