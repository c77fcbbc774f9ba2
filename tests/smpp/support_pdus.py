"""Every PDU that the codec knows, with any values that its fields can hold."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from cooee.smpp.packets import CLASSES, OCTET, Response
from cooee.smpp.pdu import Pdu

OCTETS = st.integers(0, 255)
TLVS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=4).map(tuple)


def text(size: int) -> st.SearchStrategy[str]:
    """A C-octet string of at most `size` octets with its NUL."""
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size - 1)


def pdus_of(kind: type[Pdu]) -> st.SearchStrategy[Pdu]:
    """Any PDU of that class."""
    given: dict[str, st.SearchStrategy[Any]] = {"sequence": st.integers(0, 0xFFFFFFFF)}
    names = [field.name for field in fields(kind)][1:]
    if issubclass(kind, Response):
        given["status"] = st.sampled_from([0, 8, 0x58, 0x401, 0xFFFFFFFF])
        names = names[1:]
    for name, (size, _) in zip(names, kind.layout, strict=False):
        given[name] = text(size) if size > 0 else OCTETS if size == OCTET else st.binary(max_size=254)
    if kind.has_tlvs:
        given["tlvs"] = TLVS
    return st.builds(kind, **given)


ANY_PDU = st.one_of([pdus_of(kind) for kind in CLASSES])
