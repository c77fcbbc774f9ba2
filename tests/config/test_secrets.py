"""The key file: made once, for an empty database; every other node needs that same file."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cooee.model.clock import SystemClock
from cooee.model.errors import ConfigError
from cooee.store.database import Database, Tx
from cooee.store.open import open_database
from cooee.store.secrets import Secrets, check_secrets, key_path, open_secrets, permission_warning, read_key


def with_database(url: str, work: Callable[[Database], Awaitable[None]]) -> None:
    async def main() -> None:
        database = await open_database(url, SystemClock(), pool=4)
        try:
            await work(database)
        finally:
            await database.close()

    asyncio.run(main())


async def inhabit(database: Database) -> None:
    async def add(tx: Tx) -> None:
        await tx.run("add_carrier", id=1, name="c", kind="smpp", settings="{}", secret="", tps=0, binds=1, now=0)

    await database.write(add)


def test_an_empty_database_gets_a_key_that_opens_what_it_sealed(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "my.key"

    async def work(database: Database) -> None:
        assert await check_secrets(database, path) is None
        assert not path.exists()
        first = await open_secrets(database, path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(base64.urlsafe_b64decode(path.read_text())) == 32
        assert [each.name for each in tmp_path.glob("*key*")] == ["my.key"]
        assert permission_warning(path) is None
        token = first.encrypt("pässword")
        assert "ssword" not in token
        assert first.encrypt("pässword") != token
        await inhabit(database)
        again = await open_secrets(database, path)
        assert again.decrypt(token) == "pässword"
        checked = await check_secrets(database, path)
        assert checked is not None
        assert checked.fingerprint == first.fingerprint

    with_database(database_url, work)


def test_a_node_without_the_key_or_with_another_is_refused(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "my.key"

    async def work(database: Database) -> None:
        made = await open_secrets(database, path)
        path.rename(tmp_path / "kept")
        for look in (open_secrets, check_secrets):
            with pytest.raises(
                ConfigError, match=rf"there is no key file {path}.*{made.fingerprint}.*copy that file"
            ):
                await look(database, path)
        assert not path.exists()
        path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        with pytest.raises(ConfigError, match=rf"{path} is not the one of this database.*copy that file"):
            await open_secrets(database, path)
        path.write_text("hello")
        with pytest.raises(ConfigError, match=f"{path} is no key file"):
            await open_secrets(database, path)
        (tmp_path / "kept").rename(path)
        assert (await open_secrets(database, path)).fingerprint == made.fingerprint

    with_database(database_url, work)


def test_no_key_is_made_for_a_database_that_is_in_use(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "my.key"

    async def work(database: Database) -> None:
        await inhabit(database)
        with pytest.raises(ConfigError, match="lost its key's fingerprint"):
            await open_secrets(database, path)
        assert not path.exists()

    with_database(database_url, work)


def test_a_key_left_by_a_start_that_was_cut_off_is_taken_on(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "my.key"
    path.write_bytes(base64.urlsafe_b64encode(b"k" * 32) + b"\n")
    path.chmod(0o600)

    async def work(database: Database) -> None:
        opened = await open_secrets(database, path)
        assert opened.fingerprint == Secrets(b"k" * 32, path).fingerprint

    with_database(database_url, work)


def test_of_nodes_that_start_together_one_sets_the_key_and_the_others_say_to_copy_it(
    database_url: str, tmp_path: Path
) -> None:
    paths = [tmp_path / f"node{n}.key" for n in range(4)]

    async def work(database: Database) -> None:
        outcomes = await asyncio.gather(*(open_secrets(database, p) for p in paths), return_exceptions=True)
        winners = [each for each in outcomes if isinstance(each, Secrets)]
        losers = [each for each in outcomes if isinstance(each, ConfigError)]
        assert len(winners) == 1
        assert len(losers) == 3
        assert all("copy that file" in str(each) for each in losers)
        # Only the key that counts is left.
        assert [path for path in paths if path.exists()] == [winners[0].path]

    with_database(database_url, work)


def test_nodes_that_share_the_file_all_start(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "my.key"

    async def work(database: Database) -> None:
        opened = await asyncio.gather(*(open_secrets(database, path) for _ in range(4)))
        assert len({each.fingerprint for each in opened}) == 1

    with_database(database_url, work)


def test_a_key_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "my.key"
    path.write_bytes(base64.urlsafe_b64encode(b"k" * 32))
    path.chmod(0o640)
    assert permission_warning(path) == f"key file {path} can be read by others (mode 0640): chmod 600 {path}"
    path.chmod(0o600)
    assert permission_warning(path) is None


def test_a_damaged_or_foreign_token_is_told_from_a_wrong_answer(tmp_path: Path) -> None:
    ours = Secrets(b"k" * 32, tmp_path / "ours")
    token = ours.encrypt("x")
    for bad in (
        token[:-4] + "AAAA",
        "2" + token[1:],
        "1.",
        "nonsense",
        Secrets(b"j" * 32, Path("o")).encrypt("x"),
    ):
        with pytest.raises(ConfigError, match="cannot be decrypted with the key file"):
            ours.decrypt(bad)


def test_a_key_file_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(ConfigError, match=r"nowhere/my.key cannot be made: No such file or directory"):
            await open_secrets(database, tmp_path / "nowhere" / "my.key")

    with_database(f"sqlite:///{tmp_path / 'x.db'}", work)


@pytest.mark.parametrize(
    ("database", "setting", "path"),
    [
        ("sqlite:///cooee.db", "", "cooee.db.key"),
        ("sqlite:////var/lib/cooee/c.db", "", "/var/lib/cooee/c.db.key"),
        ("postgresql://h/d", "", "cooee.key"),
        ("postgresql://h/d", "/etc/k", "/etc/k"),
    ],
)
def test_where_the_key_file_is(database: str, setting: str, path: str) -> None:
    assert key_path(database, setting) == Path(path)


def test_no_file_is_no_key(tmp_path: Path) -> None:
    assert read_key(tmp_path / "none") is None
