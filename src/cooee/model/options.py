"""Named options for people: a msgspec Struct whose fields carry a description becomes settings that can be read
from text or from a file, explained, and listed on a reference page.

Each field is `name: Annotated[type, Meta(description=…)] = default`. What is wrong is said with the option's name,
where it was found and what it takes; an unknown name is answered with the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from cooee.model.errors import ConfigError

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name, what it takes in words, its default as text (None: it must be given), its meaning."""

    name: str
    takes: str
    default: str | None
    description: str
    type: inspect.Type
    hint: Any

    def read(self, value: object, where: str) -> Any:
        """The value of this option out of a file or a JSON object; ConfigError names `where` and what it takes."""
        try:
            return msgspec.convert(value, self.hint)
        except msgspec.ValidationError:
            raise ConfigError(f"{self.name} in {where}: takes {self.takes}, not {self._shown(value)}") from None

    def _shown(self, value: object) -> str:
        return "what is there" if "password" in self.name else _shown(value)

    def read_text(self, text: str, where: str) -> Any:
        """The same out of text: an environment variable, a flag, `key=value`."""
        try:
            value = _from_text(self.type, text.strip())
        except ValueError:
            raise ConfigError(f"{self.name} in {where}: takes {self.takes}, not {self._shown(text)}") from None
        return self.read(value, where)


def options(struct: type[msgspec.Struct]) -> dict[str, Option]:
    """Every option of that Struct, in order."""
    found = {}
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{struct} is no Struct")
    for field, plain in zip(info.fields, msgspec.structs.fields(struct), strict=True):
        kind, description = field.type, ""
        while isinstance(kind, inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", description)
            kind = kind.type
        default: object = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        shown = None if default is msgspec.NODEFAULT else text_of(default)
        found[field.name] = Option(field.name, takes(kind), shown, description, kind, plain.type)
    return found


def text_of(value: object) -> str:
    """How a value is written where options are read from text; '' for None."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ",".join(text_of(item) for item in value)
        case dict():
            return json.dumps(value) if value else ""
        case _:
            return str(value)


def unknown(name: str, known: Iterable[str], what: str, where: str, prefix: str = "") -> ConfigError:
    """The error for a name that is none: says the nearest that is, or all of them.

    With `prefix` the names are those of environment variables: it and capitals come before what is in `known`.
    """
    names = list(known)

    def shown(each: str) -> str:
        return prefix + each.upper() if prefix else each

    near = difflib.get_close_matches(name.lower().removeprefix(prefix.lower()), names, n=1, cutoff=0.5)
    hint = f"did you mean {shown(near[0])}?" if near else f"known are {', '.join(map(shown, names))}"
    return ConfigError(f"unknown {what} '{name}' in {where}: {hint}")


def takes(kind: inspect.Type) -> str:
    """What a type takes, as words that end a sentence."""
    match kind:
        case inspect.Metadata():
            return takes(kind.type)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(kind.ge, kind.le)
        case inspect.FloatType():
            return "a number" + _range(kind.ge if kind.ge is not None else kind.gt, kind.le)
        case inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in kind.values)
        case inspect.StrType():
            if kind.max_length is not None:
                kinds = "ASCII characters" if kind.pattern else "characters"
                return f"text of {kind.min_length or 0} to {kind.max_length} {kinds}"
            return "text" if not kind.min_length else "some text"
        case inspect.VarTupleType() | inspect.ListType():
            return "a list of texts (comma-separated outside of files)"
        case inspect.DictType():
            return "a JSON object of whole numbers"
        case inspect.UnionType():
            return " or ".join(takes(each) for each in kind.types if not isinstance(each, inspect.NoneType))
        case _:
            raise TypeError(f"options of type {kind} are not known")


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" from {low} up"
    return ""


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else json.dumps(value, default=str)


def _from_text(kind: inspect.Type, text: str) -> object:
    match kind:
        case inspect.Metadata():
            return _from_text(kind.type, text)
        case inspect.BoolType():
            return _lookup(_WORDS, text.lower())
        case inspect.IntType():
            if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
                raise ValueError(text)
            return int(text)
        case inspect.FloatType():
            number = float(text)
            if not math.isfinite(number):
                raise ValueError(text)
            return number
        case inspect.LiteralType():
            return _lookup({str(value): value for value in kind.values}, text)
        case inspect.VarTupleType() | inspect.ListType():
            return [part.strip() for part in text.split(",") if part.strip()]
        case inspect.DictType():
            return json.loads(text) if text else {}
        case inspect.UnionType():
            if not text:
                return None
            return _from_text(next(e for e in kind.types if not isinstance(e, inspect.NoneType)), text)
        case _:
            return text


def _lookup(table: dict[str, Any], text: str) -> object:
    if text not in table:
        raise ValueError(text)
    return table[text]
