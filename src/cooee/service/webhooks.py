"""Reply webhooks as the operator handles them: set, shown, tested, and what was parked replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.webhook import (
    DeliveryState,
    ReplyCall,
    Target,
    WebhookState,
    check_password,
    check_url,
    check_username,
    masked,
)
from cooee.model.words import counted
from cooee.service import audit
from cooee.service.accounts import named
from cooee.service.receiver import Outcome, Receiver
from cooee.store import webhooks
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.secrets import Secrets

NONE = "none"
"""What a person writes for no webhook."""
TEST = ReplyCall(
    originator="61491570006",
    recipient="61491570156",
    reference="cooee-test",
    text="This is a test of your reply webhook by Cooee. Nobody has sent this message.",
)
"""Both numbers are of the range that is kept for fiction."""


@dataclass(frozen=True, slots=True)
class WebhookView:
    """A webhook as a person is shown it: `url` without the values of its query. Times are UTC ms."""

    account: str
    zone: str
    on: bool
    url: str
    username: str
    has_password: bool
    changed_at: int
    failing_since: int | None
    quiet_until: int | None
    """Until when the receiver is left alone, if so."""
    waiting: int
    oldest_at: int | None
    next_at: int | None
    parked: int


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """One delivery; `status` is the HTTP status of the last answer, `excerpt` its beginning where it was wrong."""

    account: str
    zone: str
    reply_id: int
    state: DeliveryState
    attempts: int
    created_at: int
    next_at: int | None
    last_at: int | None
    status: int | None
    reason: str
    excerpt: str
    originator: str | None
    recipient: str | None


def check(
    *, allow_private: bool, url: str | None = None, username: str | None = None, password: str | None = None
) -> None:
    """ConfigError says what of this no webhook can have; None is not looked at."""
    if url == NONE and (username is not None or password is not None):
        raise ConfigError("no webhook needs no login: leave out its username and password")
    if url is not None and url != NONE:
        check_url(url, allow_private=allow_private)
    if username is not None:
        check_username(username)
    if password is not None:
        check_password(password)


class ReplyWebhooks:
    """The use cases around webhooks. `allow_private` is the setting webhook_allow_private."""

    def __init__(self, database: Database, clock: Clock, secrets: Secrets, *, allow_private: bool) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._allow_private = allow_private

    async def set(
        self, name: str, *, url: str | None = None, username: str | None = None, password: str | None = None
    ) -> None:
        """Changes what is given; a `url` of `none` takes the webhook away, and parks what waits for it.

        Replies that came in before there was a webhook are not told. ConfigError says what cannot be.
        """
        check(allow_private=self._allow_private, url=url, username=username, password=password)
        now = self._clock.now_ms()
        noted = audit.change("webhook changed", account=name)

        async def operation(tx: Tx) -> int:
            account = await named(tx, name)
            row = await tx.one("webhook_of", account_id=account.id)
            on = row is not None and row[0] == WebhookState.ON
            if url == NONE:
                if on:
                    await webhooks.put(tx, account.id, WebhookState.OFF, url="", username="", secret="", now=now)
                    await audit.note(tx, noted, now, "taken away")
                return account.id
            if url is None and not on:
                raise ConfigError(f"account '{name}' has no webhook: give its URL as well")
            known = row if on else None
            address = known[2] if known is not None else ""
            if url is not None:
                address = self._secrets.encrypt(check_url(url, allow_private=self._allow_private))
            secret = known[4] if known is not None else ""
            if password is not None:
                secret = self._secrets.encrypt(password)
            user = username if username is not None else known[3] if known is not None else ""
            await webhooks.put(tx, account.id, WebhookState.ON, url=address, username=user, secret=secret, now=now)
            said = [f"URL {masked(url)}" if url is not None else "", "username" if username is not None else ""]
            said.append("password" if password is not None else "")
            await audit.note(tx, noted, now, ", ".join(filter(None, said)))
            return account.id

        account_id = await self._database.write(operation)
        if url == NONE:
            await self._park(account_id)

    async def _park(self, account_id: int) -> None:
        """A running engine does this as well; without one nobody would."""
        now = self._clock.now_ms()
        while await self._database.write(lambda tx: webhooks.park_all(tx, account_id, now), Lane.BULK):
            pass

    async def show(self, name: str) -> WebhookView | None:
        """The webhook of that account, None where it has none; ConfigError when there is no such account."""

        async def operation(tx: Tx) -> tuple[Row, Row, Row, str] | None:
            account = await named(tx, name)
            row = await tx.one("webhook_of", account_id=account.id)
            waiting = await tx.one("count_waiting", account_id=account.id)
            parked = await tx.one("count_parked", account_id=account.id)
            if row is None or waiting is None or parked is None:
                return None
            return row, waiting, parked, account.zone_name

        found = await self._database.read(operation)
        if found is None:
            return None
        row, waiting, parked, zone = found
        on = row[0] == WebhookState.ON
        now = self._clock.now_ms()
        return WebhookView(
            account=name,
            zone=zone,
            on=on,
            url=masked(self._secrets.decrypt(row[2])) if on else "",
            username=row[3],
            has_password=bool(row[4]),
            changed_at=row[5],
            failing_since=row[7],
            quiet_until=row[8] if row[8] > now else None,
            waiting=waiting[0],
            oldest_at=waiting[1],
            next_at=waiting[2],
            parked=parked[0],
        )

    async def deliveries(
        self, name: str, *, state: DeliveryState | None = None, limit: int = 50
    ) -> Sequence[DeliveryLine]:
        """The newest deliveries of an account, of one state where it is given. ConfigError as above."""

        async def operation(tx: Tx) -> list[DeliveryLine]:
            account = await named(tx, name)
            found = await tx.all("delivery_log", account_id=account.id, state=state, limit=limit)
            return [_line(row) for row in found]

        return await self._database.read(operation)

    async def parked(self, name: str | None, *, limit: int = 50) -> Sequence[DeliveryLine]:
        """The oldest deliveries that were given up, of one account or of all. ConfigError as above."""

        async def operation(tx: Tx) -> list[DeliveryLine]:
            account_id = None if name is None else (await named(tx, name)).id
            return [_line(row) for row in await tx.all("parked_deliveries", account_id=account_id, limit=limit)]

        return await self._database.read(operation)

    async def parked_page(
        self, name: str | None, *, after: tuple[int, int, int] | None, limit: int
    ) -> Sequence[tuple[tuple[int, int, int], DeliveryLine]]:
        """The same in pages, with a key each: behind the key `after`."""

        async def operation(tx: Tx) -> list[tuple[tuple[int, int, int], DeliveryLine]]:
            account_id = None if name is None else (await named(tx, name)).id
            account_after, at_after, reply_after = after or (-1, -1, -1)
            found = await tx.all(
                "parked_page",
                account_id=account_id,
                account_after=account_after,
                at_after=at_after,
                reply_after=reply_after,
                limit=limit,
            )
            return [((row[13], row[14], row[2]), _line(row)) for row in found]

        return await self._database.read(operation)

    async def replay(self, name: str, reply_id: int | None) -> int:
        """Makes one reply's delivery due at once, or all parked ones of the account; how many.

        ConfigError when there is no webhook, or no such delivery to replay.
        """
        now = self._clock.now_ms()
        noted = audit.change("webhook replayed", account=name)

        async def operation(tx: Tx) -> int:
            account = await named(tx, name)
            row = await tx.one("webhook_of", account_id=account.id)
            if row is None or row[0] != WebhookState.ON:
                raise ConfigError(f"account '{name}' has no webhook: set one first")
            moved = await webhooks.replay(tx, account.id, reply_id, now)
            if reply_id is not None and not moved:
                raise ConfigError(
                    f"account '{name}' has no delivery {reply_id} that is parked or waits: "
                    f"cooee webhook deliveries {name} shows those there are"
                )
            if moved:
                await audit.note(
                    tx,
                    noted,
                    now,
                    f"reply {reply_id}" if reply_id is not None else counted(moved, "reply", "replies"),
                )
            return moved

        moved = total = await self._database.write(operation)
        while reply_id is None and moved:
            moved = await self._database.write(operation, Lane.BULK)
            total += moved
        return total

    async def test(self, name: str) -> tuple[str, Outcome]:
        """Calls the webhook with a reply that says it is a test: (host, what came of it). Nothing is stored.

        ConfigError when there is no webhook.
        """

        async def operation(tx: Tx) -> Row | None:
            account = await named(tx, name)
            return await tx.one("webhook_of", account_id=account.id)

        row = await self._database.read(operation)
        if row is None or row[0] != WebhookState.ON:
            raise ConfigError(f"account '{name}' has no webhook: set one first")
        password = self._secrets.decrypt(row[4]) if row[4] else ""
        target = Target(self._secrets.decrypt(row[2]), row[3], password)
        receiver = Receiver(self._clock, allow_private=self._allow_private)
        try:
            return target.host, await receiver.call(target, TEST)
        finally:
            await receiver.close()


def _line(row: Row) -> DeliveryLine:
    state = DeliveryState(row[3])
    waits = state is DeliveryState.WAITING
    return DeliveryLine(
        account=row[0], zone=row[1], reply_id=row[2], state=state, attempts=row[4], created_at=row[5],
        next_at=row[6] if waits else None, last_at=row[7], status=row[8], reason=row[9], excerpt=row[10],
        originator=row[11], recipient=row[12],
    )  # fmt: skip
