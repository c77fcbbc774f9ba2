"""Secrets at rest: carrier passwords and the like are encrypted with a key that lives in a file.

The file is made only for an empty database, which then keeps the key's fingerprint. A node that has another key,
or none, refuses to start: it would store secrets that the other nodes cannot read. A copy of the database alone
gives no secret away, and a backup is whole only together with its key file.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import stat
from pathlib import Path

from cooee.model.errors import ConfigError
from cooee.store.database import Database, Tx
from cooee.store.open import sqlite_path

KEY_SIZE = 32
FINGERPRINT = "key_fingerprint"
"""Name of the row in `meta`."""
_VERSION = "1"
_NONCE = 12


class Secrets:
    """Encrypts and decrypts texts with AES-256-GCM. `path` is where the key came from."""

    def __init__(self, key: bytes, path: Path) -> None:
        self._key = key
        self.path = path
        self.fingerprint = hashlib.sha256(b"cooee key file" + key).hexdigest()[:16]
        """Tells keys apart and says nothing about them."""

    def encrypt(self, text: str) -> str:
        """A token that only this key opens; another one every time."""
        # Imported here: most processes never touch a secret, and the library costs several megabytes.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._key).encrypt(nonce, text.encode(), None)
        return f"{_VERSION}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def decrypt(self, token: str) -> str:
        """The text of a token; ConfigError when it was made with another key or is damaged."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        version, _, body = token.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body)
            if version != _VERSION:
                raise ValueError(version)
            return AESGCM(self._key).decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"a stored secret cannot be decrypted with the key file {self.path}: set that secret again"
            ) from error


def key_path(database: str, key_file: str) -> Path:
    """Where the key file is: `key_file`, else beside the SQLite file, else in the working directory."""
    if key_file:
        return Path(key_file)
    path = sqlite_path(database)
    return Path("cooee.key") if path is None else path.with_name(path.name + ".key")


def read_key(path: Path) -> Secrets | None:
    """The key in that file, None where there is no file; ConfigError where it is no key file."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise ConfigError(f"key file {path} cannot be read: {reason}") from error
    try:
        key = base64.urlsafe_b64decode(text)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_SIZE:
        raise ConfigError(f"{path} is no key file: copy the right one from a node that has it")
    return Secrets(key, path)


def permission_warning(path: Path) -> str | None:
    """A sentence when others than its owner may read the key file, else None."""
    mode = path.stat().st_mode
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"key file {path} can be read by others (mode {mode & 0o777:04o}): chmod 600 {path}"
    return None


async def open_secrets(database: Database, path: Path) -> Secrets:
    """The secrets of this database; makes the key file if the database is empty and there is none.

    ConfigError when the file is missing, unreadable, or not the one whose fingerprint the database keeps.
    """
    known, empty = await database.read(_known)
    found = read_key(path)
    if known is not None or not empty:
        return _matching(found, known, path)
    mine = found or _make(path)
    settled = await database.write(lambda tx: _claim(tx, mine.fingerprint))
    if settled != mine.fingerprint and found is None:
        # Another node was first. What was just made belongs to no database, and would be taken for the key.
        _discard(path)
        return _matching(None, settled, path)
    return _matching(mine, settled, path)


async def check_secrets(database: Database, path: Path) -> Secrets | None:
    """As `open_secrets`, but changes nothing: None where the key is yet to be made."""
    known, empty = await database.read(_known)
    found = read_key(path)
    if known is None and empty:
        return found
    return _matching(found, known, path)


def _matching(found: Secrets | None, known: str | None, path: Path) -> Secrets:
    if known is None:
        raise ConfigError(
            "this database is in use but has lost its key's fingerprint: restore it from a backup that has one"
        )
    if found is None:
        raise ConfigError(
            f"there is no key file {path}, and this database was set up with one (fingerprint {known}): "
            "copy that file from the node that has it, or from the backup"
        )
    if found.fingerprint != known:
        raise ConfigError(
            f"key file {path} is not the one of this database (its fingerprint is {found.fingerprint}, "
            f"{known} is needed): copy that file from the node that has it, or from the backup"
        )
    return found


async def _known(tx: Tx) -> tuple[str | None, bool]:
    row = await tx.one("get_meta", name=FINGERPRINT)
    empty = await tx.one("is_empty")
    return (None if row is None else str(row[0])), empty is not None and empty[0] == 1


async def _claim(tx: Tx, fingerprint: str) -> str:
    await tx.run("claim_meta", name=FINGERPRINT, value=fingerprint)
    row = await tx.one("get_meta", name=FINGERPRINT)
    return fingerprint if row is None else str(row[0])


def _make(path: Path) -> Secrets:
    """Writes a new key file. It appears whole or not at all, and never replaces one that is there."""
    key = os.urandom(KEY_SIZE)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, base64.urlsafe_b64encode(key) + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            # A link fails where the name is taken, as O_EXCL does, and a reader never finds half a key.
            os.link(draft, path)
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        found = read_key(path)
        if found is None:
            raise ConfigError(f"key file {path} came and went: start again") from None
        return found
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be made: {error.strerror or error}") from error
    return Secrets(key, path)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
