"""Operations on the console's sessions and on operators. Each takes a `Tx` and runs inside the caller's
transaction."""

from __future__ import annotations

from dataclasses import dataclass

from cooee.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """Who runs this installation. `created_at` is UTC ms."""

    id: int
    name: str
    password_hash: str
    created_at: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that is not over: an account's or an operator's. `seen_at` is UTC ms."""

    account_id: int | None
    operator_id: int | None
    password_tag: str
    seen_at: int


async def add(
    tx: Tx,
    token_hash: str,
    *,
    account_id: int | None = None,
    operator_id: int | None = None,
    password_tag: str,
    now: int,
    expires_at: int,
    idle_since: int,
) -> None:
    """Opens a session, and clears away those that are over."""
    await tx.run("drop_dead_sessions", now=now, idle_since=idle_since)
    await tx.run(
        "add_session",
        token_hash=token_hash, account_id=account_id, operator_id=operator_id, password_tag=password_tag,
        now=now, expires_at=expires_at,
    )  # fmt: skip


async def find(tx: Tx, token_hash: str, *, now: int, idle_since: int) -> SessionRow | None:
    """The session of that token, None where it is over or was left alone since before `idle_since`."""
    row = await tx.one("find_session", token_hash=token_hash, now=now, idle_since=idle_since)
    return None if row is None else SessionRow(*row)


async def see(tx: Tx, token_hash: str, now: int) -> None:
    """Somebody uses it."""
    await tx.run("see_session", token_hash=token_hash, now=now)


async def drop(tx: Tx, token_hash: str) -> None:
    """Ends one session."""
    await tx.run("drop_session", token_hash=token_hash)


async def drop_all(tx: Tx, *, account_id: int | None = None, operator_id: int | None = None, but: str = "") -> int:
    """Ends every session of an account or of an operator except the one with the hash `but`; how many."""
    return await tx.run("drop_sessions_of", account_id=account_id, operator_id=operator_id, but=but)


def _operator(row: Row | None) -> OperatorRow | None:
    return None if row is None else OperatorRow(*row)


async def add_operator(tx: Tx, operator_id: int, name: str, password_hash: str, now: int) -> bool:
    """A new operator; False when the name is taken."""
    added = await tx.run("add_operator", id=operator_id, name=name, password_hash=password_hash, now=now)
    return added == 1


async def operator_named(tx: Tx, name: str) -> OperatorRow | None:
    """The operator of that name, or None."""
    return _operator(await tx.one("operator_by_name", name=name))


async def operator_by_id(tx: Tx, operator_id: int) -> OperatorRow | None:
    """The operator of that id, or None."""
    return _operator(await tx.one("operator_by_id", id=operator_id))


async def operators(tx: Tx) -> list[OperatorRow]:
    """Every operator, by name."""
    return [OperatorRow(*row) for row in await tx.all("list_operators")]


async def set_operator_password(tx: Tx, operator_id: int, password_hash: str) -> None:
    """A new password; the operator's sessions end."""
    await tx.run("set_operator_password", id=operator_id, password_hash=password_hash)
    await drop_all(tx, operator_id=operator_id)


async def drop_operator(tx: Tx, operator_id: int) -> None:
    """Takes an operator away, with every session."""
    await drop_all(tx, operator_id=operator_id)
    await tx.run("drop_operator", id=operator_id)
