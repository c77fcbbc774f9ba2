"""The table of codes as this installation has it: the package's file, under the operator's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from cooee.model.codetable import CodeTable, parse_codes
from cooee.model.errors import ConfigError

SHIPPED = "codes.toml"
"""The package's own file."""
MAX_FILE = 1 << 20


def load_codes(own: str = "") -> CodeTable:
    """Reads the table; `own` is the path of the operator's file, "" for none. ConfigError says what is wrong."""
    shipped = parse_codes(files("cooee").joinpath(SHIPPED).read_text(encoding="utf-8"), SHIPPED)
    if not own:
        return shipped
    try:
        with Path(own).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        text = raw.decode()
    except (OSError, ValueError) as error:
        reason = "it is not valid UTF-8" if isinstance(error, UnicodeDecodeError) else _reason(error)
        raise ConfigError(f"codes file {own} cannot be read: {reason}") from error
    if len(raw) > MAX_FILE:
        raise ConfigError(f"codes file {own} is larger than {MAX_FILE >> 10} KiB")
    return shipped.under(parse_codes(text, own))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
