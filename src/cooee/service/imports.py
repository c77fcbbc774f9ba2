"""Files of numbers into stored lists: kept, looked at, imported beside everything else.

The file and how far its import is are in the database, so that any node can show both and a person may leave the
page. An import that breaks off with its node does no harm: adding the same numbers again changes nothing.
"""

from __future__ import annotations

import asyncio
import tempfile
from array import array
from dataclasses import dataclass
from typing import IO

import msgspec
import structlog

from cooee.model.account import Account
from cooee.model.clock import DAY, MINUTE, Clock
from cooee.model.errors import ApiError, ConfigError, CooeeError
from cooee.model.words import counted
from cooee.service import audit
from cooee.service.audience import Audience
from cooee.service.intake import Intake, Reject, Taken
from cooee.service.recipients import Recipients
from cooee.service.sheets import Table, read_table
from cooee.store import drafts as rows
from cooee.store.database import Database, Lane, Tx
from cooee.store.ids import Ids

log = structlog.get_logger()

KEPT_MS = DAY
SILENT_MS = MINUTE
"""An import that says nothing for so long has broken off."""
PIECE = 20_000
IN_MEMORY = 1 << 20


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is. `phase`: reading, storing, done or failed. `at` is UTC ms. `added`: numbers that were
    not in the list before."""

    phase: str
    at: int
    list_id: int = 0
    total: int = 0
    stored: int = 0
    added: int = 0
    invalid: int = 0
    duplicates: int = 0
    rejects: tuple[Reject, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file; `size` in octets."""

    id: int
    name: str
    size: int
    progress: Progress | None
    broken_off: bool


class Imports:
    """The use cases."""

    def __init__(
        self, database: Database, ids: Ids, clock: Clock, audience: Audience, recipients: Recipients
    ) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._audience = audience
        self._recipients = recipients
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ends imports that are under way; what they have added stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def keep(self, account: Account, name: str, file: IO[bytes]) -> int:
        """Keeps an uploaded file that can be read as a table; its number. ConfigError says why it cannot."""
        await self._tidy()
        size = await self._recipients.aside(lambda: _check(file, name))
        upload_id = await self._ids.exactly_one("upload")
        no = 0
        file.seek(0)
        while body := await asyncio.to_thread(file.read, rows.FILE_PIECE):

            async def add(tx: Tx, no: int = no, body: bytes = body) -> None:
                await rows.add_upload_piece(tx, account.id, upload_id, no, body)

            await self._database.write(add, Lane.BULK)
            no += 1
        now = self._clock.now_ms()
        await self._database.write(lambda tx: rows.add_upload(tx, account.id, upload_id, name, size, now))
        return upload_id

    async def find(self, account: Account, upload_id: int) -> Upload | None:
        """A file of this account that is not too old."""
        row = await self._database.read(lambda tx: rows.find_upload(tx, account.id, upload_id))
        now = self._clock.now_ms()
        if row is None or row.created_at < now - KEPT_MS:
            return None
        progress = None if row.progress is None else msgspec.json.decode(row.progress, type=Progress)
        silent = (
            progress is not None and progress.phase in ("reading", "storing") and now - progress.at > SILENT_MS
        )
        return Upload(upload_id, row.name, row.size, progress, silent)

    async def table(self, account: Account, upload: Upload) -> Table:
        """Its columns and first rows. ConfigError says why it cannot be read."""
        file = await self._fetch(account, upload)
        return await self._recipients.aside(lambda: read_table(file, upload.name))

    async def begin(
        self, account: Account, upload: Upload, column: int, *, list_id: int | None, name: str
    ) -> bool:
        """Begins to import a column into a list, or into a new one called `name`; False when it was begun before.

        ApiError -940 when there is no such list.
        """
        if list_id is not None:
            await self._audience.description(account, list_id)
        await self._recipients.prepare(account)
        progress = Progress(phase="reading", at=self._clock.now_ms(), list_id=list_id or 0)
        text = msgspec.json.encode(progress).decode()
        noted = audit.change("import begun", account=account.name)
        into = f"a new list: {name}" if list_id is None else f"list {list_id}"

        async def operation(tx: Tx) -> bool:
            if not await rows.begin_upload(tx, account.id, upload.id, text):
                return False
            await audit.note(tx, noted, self._clock.now_ms(), f"column {column + 1} of {upload.name} into {into}")
            return True

        if not await self._database.write(operation):
            return False
        task = asyncio.create_task(self._run(account, upload, column, list_id, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _run(self, account: Account, upload: Upload, column: int, list_id: int | None, name: str) -> None:
        try:
            await self._import(account, upload, column, list_id, name)
        except (ConfigError, ApiError) as error:
            await self._failed(account, upload, f"{error}.")
        except CooeeError as error:
            log.warning("import_failed", reason=str(error))
            await self._failed(
                account, upload, "The database was away: upload the file again. Nothing is doubled."
            )
        except Exception as error:
            log.error("import_failed", reason=type(error).__name__)
            await self._failed(account, upload, "Something broke on our side: upload the file again.")

    async def _import(self, account: Account, upload: Upload, column: int, list_id: int | None, name: str) -> None:
        file = await self._fetch(account, upload)
        taken = await self._recipients.aside(lambda: _take(account, file, upload.name, column))
        if not taken.numbers:
            raise ConfigError(f"That column holds no numbers ({taken.invalid:,} entries are invalid)")
        found = Progress(
            phase="storing",
            at=0,
            list_id=list_id or 0,
            total=len(taken.numbers),
            invalid=taken.invalid,
            duplicates=taken.duplicates,
            rejects=tuple(taken.rejects),
        )
        numbers = taken.numbers
        stored = added = 0
        target = list_id
        noted = audit.change("import finished", account=account.name)
        # The import is one act: its pieces are none of their own.
        with audit.acting(None):
            for at in range(0, len(numbers), PIECE):
                await self._say(account, upload, found, list_id=target or 0, stored=stored, added=added)
                piece: array[int] = numbers[at : at + PIECE]
                if target is None:
                    target = await self._audience.create(account, name, piece)
                    added += len(piece)
                else:
                    added += await self._audience.append(account, target, piece)
                stored += len(piece)
        said = audit.said(noted, f"list {target}: {counted(stored, 'number')} of {upload.name}, {added} new")
        await self._say(
            account, upload, found, said, phase="done", list_id=target or 0, stored=stored, added=added
        )
        while await self._database.write(lambda tx: rows.drop_upload_piece(tx, account.id, upload.id), Lane.BULK):
            pass

    async def _say(
        self,
        account: Account,
        upload: Upload,
        progress: Progress,
        noted: audit.Change | None = None,
        **changes: object,
    ) -> None:
        now = self._clock.now_ms()
        said = msgspec.structs.replace(progress, at=now, **changes)
        text = msgspec.json.encode(said).decode()

        async def operation(tx: Tx) -> None:
            await rows.set_upload(tx, account.id, upload.id, text)
            await audit.note(tx, noted, now)

        await self._database.write(operation)

    async def _failed(self, account: Account, upload: Upload, problem: str) -> None:
        try:
            sentence = problem[:1].upper() + problem[1:]
            await self._say(account, upload, Progress(phase="failed", at=0), problem=sentence)
        except CooeeError as error:
            log.warning("import_outcome_lost", reason=str(error))

    async def _fetch(self, account: Account, upload: Upload) -> IO[bytes]:
        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (outlives this function)
        no = 0
        while True:

            async def read(tx: Tx, no: int = no) -> bytes | None:
                return await rows.upload_piece(tx, account.id, upload.id, no)

            body = await self._database.read(read)
            if body is None:
                return file
            await asyncio.to_thread(file.write, body)
            no += 1

    async def _tidy(self) -> None:
        """Files that nobody came back to."""
        before = self._clock.now_ms() - KEPT_MS
        for account_id, upload_id in await self._database.read(lambda tx: rows.old_uploads(tx, before)):

            async def piece(tx: Tx, account_id: int = account_id, upload_id: int = upload_id) -> bool:
                return await rows.drop_upload_piece(tx, account_id, upload_id)

            async def drop(tx: Tx, account_id: int = account_id, upload_id: int = upload_id) -> None:
                await rows.drop_upload(tx, account_id, upload_id)

            while await self._database.write(piece, Lane.BULK):
                pass
            await self._database.write(drop, Lane.BULK)


def _check(file: IO[bytes], name: str) -> int:
    """The octets of a file that holds a table."""
    read_table(file, name)
    return file.seek(0, 2)


def _take(account: Account, file: IO[bytes], name: str, column: int) -> Taken:
    intake = Intake(account, anybody=True)
    intake.add_cells(read_table(file, name).cells(column))
    return intake.result()
