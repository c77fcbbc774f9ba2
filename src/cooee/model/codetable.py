"""Names for the codes of messages, each marked permanent or temporary (wire contract §5).

The table is data: `codes.toml` of the package, under an operator's own file. Here it is read and looked up;
nothing here decides whether a message is tried again.
"""

from __future__ import annotations

import difflib
import enum
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cooee.model.errors import ConfigError

MAX_NAME = 120
MAX_CODE = 999_999_999
_LASTS = {"permanent": True, "temporary": False}


class Source(enum.Enum):
    """Who said a code. The values are the sections of the file."""

    COOEE = "cooee"
    """We did: it goes before the others."""
    SUBMIT = "submit"
    """An SMSC that refused a submit_sm: the command_status in decimal."""
    RECEIPT = "receipt"
    """A receipt."""


def source_of(failed: int) -> Source:
    """Who said the code of a message whose mask of failed parts is `failed`: only receipts set it."""
    return Source.RECEIPT if failed else Source.SUBMIT


@dataclass(frozen=True, slots=True)
class CodeName:
    """A code for people. Permanent: sending the same again would fail again."""

    code: int
    name: str
    permanent: bool

    @property
    def lasts(self) -> str:
        """`permanent` or `temporary`."""
        return "permanent" if self.permanent else "temporary"

    def __str__(self) -> str:
        return f"{self.code}: {self.name} ({self.lasts})"


@dataclass(frozen=True, slots=True)
class CodeTable:
    """Every code that has a name. `own` counts those that an operator's file brought."""

    sections: Mapping[Source, Mapping[int, CodeName]] = field(default_factory=dict)
    own: int = 0

    def find(self, code: int, source: Source) -> CodeName | None:
        """The name of a code that `source` said; None for one without a name."""
        for section in (Source.COOEE, source):
            found = self.sections.get(section, {}).get(code)
            if found is not None:
                return found
        return None

    def words(self, code: int, source: Source) -> str:
        """`300: Invalid destination (permanent)`; just the number where it has no name."""
        return str(self.find(code, source) or code)

    def rows(self, source: Source) -> list[CodeName]:
        """A section, codes rising."""
        return [name for _, name in sorted(self.sections.get(source, {}).items())]

    def __len__(self) -> int:
        return sum(len(section) for section in self.sections.values())

    def under(self, own: CodeTable) -> CodeTable:
        """This table, with what `own` names in place of what is here."""
        merged = {source: {**self.sections.get(source, {}), **own.sections.get(source, {})} for source in Source}
        return CodeTable(merged, len(own))


def parse_codes(text: str, where: str) -> CodeTable:
    """The table that a TOML text holds. ConfigError names `where`, the entry, and what it takes."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"codes file {where} is no valid TOML: {error}") from error
    sections: dict[Source, dict[int, CodeName]] = {}
    for title, entries in found.items():
        source = _section(title, where)
        if not isinstance(entries, dict):
            raise ConfigError(f"{title} in codes file {where}: must be a section, [{title}]")
        sections[source] = {entry.code: entry for entry in _entries(title, entries, where)}
    return CodeTable(sections)


def _section(title: str, where: str) -> Source:
    names = [source.value for source in Source]
    if title not in names:
        near = difflib.get_close_matches(title, names, n=1, cutoff=0.5)
        hint = f"did you mean [{near[0]}]?" if near else f"sections are [{'], ['.join(names)}]"
        raise ConfigError(f"unknown section [{title[:40]}] in codes file {where}: {hint}")
    return Source(title)


def _entries(title: str, entries: Mapping[str, object], where: str) -> list[CodeName]:
    names: dict[int, CodeName] = {}
    for key, value in entries.items():
        at = f"{key[:40]} in [{title}] of codes file {where}"
        if not (key.isascii() and key.isdigit() and len(key) <= 9 and int(key) > 0):
            raise ConfigError(f"{at}: a code is a whole number from 1 to {MAX_CODE}")
        if int(key) in names:
            raise ConfigError(f"{at}: {int(key)} is there already")
        names[int(key)] = _entry(int(key), value, at)
    return list(names.values())


def _entry(code: int, value: object, at: str) -> CodeName:
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= set(_LASTS):
        raise ConfigError(f'{at}: takes {{ permanent = "name" }} or {{ temporary = "name" }}')
    ((lasts, name),) = value.items()
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_NAME or not name.isprintable():
        raise ConfigError(f"{at}: a name is 1 to {MAX_NAME} printable characters")
    return CodeName(code, name.strip(), _LASTS[lasts])
