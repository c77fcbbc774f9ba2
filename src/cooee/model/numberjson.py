"""JSON arrays of numbers, cut into pieces of whole elements without being decoded (wire contract §1, §8).

Millions of numbers come as tens of MB. One call works on one window of such a text, so that the interpreter is
never held for long; what is plain digits is taken from it as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CHUNK = 65536

# Possessive throughout: a chunk is valid or not, and no time goes into trying again.
_PLAIN = re.compile(
    rb"""[ \t\r\n]*+(?:"\+?[0-9]++"|[1-9][0-9]*+)[ \t\r\n]*+"""
    rb"""(?:,[ \t\r\n]*+(?:"\+?[0-9]++"|[1-9][0-9]*+)[ \t\r\n]*+)*+"""
)
_FIRST_RECORD = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+("(?i:number)")[ \t\r\n]*+:[ \t\r\n]*+("?)')
_NOT_A_RECORD = re.compile(rb"\}[ \t\r\n]*+(?!,[ \t\r\n]*+\{|[ \t\r\n]*+\Z)")
# Inside of a string; it may be cut off by the end of a window.
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+(")?|[\[\]{},]', re.DOTALL)
_FLAT_OBJECTS = re.compile(rb'(?:[ \t\r\n]*+\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\}[ \t\r\n]*+,)*+', re.DOTALL)


def plain_strings(chunk: bytes) -> bytes | None:
    """The numbers in a piece of an array, `token,token`, if it holds only plain digits, as strings (also with
    `+`) or as numbers; else None."""
    if _PLAIN.fullmatch(chunk) is None:
        return None
    return chunk.translate(None, b'" \t\r\n')


def plain_records(chunk: bytes) -> bytes | None:
    """The numbers in a piece of an array that holds only records of plain digits, else None.

    The octets around the digits are then the same for each record, and taking the digits out leaves nothing but
    those: that is many times as fast as a look at each record. `chunk` begins with an element of valid JSON.
    """
    first = _FIRST_RECORD.match(chunk)
    if first is None:
        return None
    name = first[1]
    frame = b"{" + name + b":" + 2 * first[2] + b"}"
    frames = chunk.translate(None, b"0123456789+, \t\r\n")
    count = len(frames) // len(frame)
    # Names are whole, with no digits in them, and nothing stands between the records.
    if frames != frame * count or chunk.count(name) != count or _NOT_A_RECORD.search(chunk):
        return None
    tokens = chunk.translate(None, b'{}": \t\r\n' + name)
    # Blank numbers are judged singly.
    return None if b",," in tokens or tokens[:1] == b"," or tokens[-1:] in (b",", b"") else tokens


def split_json_array(raw: bytes | memoryview, size: int = CHUNK) -> Iterator[bytes]:
    """The inside of a JSON array, given as valid JSON text, in chunks of whole elements.

    Chunks are about `size` octets, more only where one element is; the commas between chunks are left out, and
    so is one behind the last element (wire contract §1). Only commas between elements count: neither those in
    strings nor those in nested values. ValueError when the text is no array.
    """
    view = memoryview(raw).cast("B")
    start, end = 0, len(view)
    while start < end and view[start] in b" \t\r\n":
        start += 1
    while end > start and view[end - 1] in b" \t\r\n":
        end -= 1
    if end - start < 2 or view[start] != 0x5B or view[end - 1] != 0x5D:
        raise ValueError("no JSON array")
    start, end = start + 1, end - 1
    while start < end:
        window = bytes(view[start : min(start + size, end)])
        if len(window) == end - start:
            last = window.strip(b" \t\r\n").removesuffix(b",")
            if last:
                yield last
            return
        cut = _last_comma(window)
        if cut < 0:
            stop = _element_end(view, start, end, size)
            yield bytes(view[start:stop])
            start = stop + 1
            continue
        if cut:
            yield window[:cut]
        start += cut + 1


def _element_end(view: memoryview, at: int, end: int, size: int) -> int:
    """Where the comma stands behind the element at `at`, or `end`: looked for by windows of `size` octets."""
    depth, inside = 0, False
    while at < end:
        # Room for an escape at least.
        window = bytes(view[at : min(at + max(size, 2), end)])
        place = 0
        if inside:
            found = _INSIDE.match(window)
            place = found.end() if found else 0
            if window[place : place + 1] != b'"':
                # All of it, but perhaps half an escape.
                at += max(place, 1)
                continue
            inside = False
            place += 1
        next_at = at + len(window)
        for found in _STRUCTURE.finditer(window, place):
            mark = found[0]
            if mark == b"," and not depth:
                return at + found.start()
            if mark in (b"[", b"{"):
                depth += 1
            elif mark in (b"]", b"}"):
                depth -= 1
            elif mark != b"," and found.lastindex is None:
                inside, next_at = True, at + found.end()
        at = next_at
    return end


def _last_comma(window: bytes) -> int:
    """Where the last comma between elements stands in a text that begins with an element; -1 for none."""
    if b"\\" not in window and b"[" not in window and b"{" not in window:
        cut = window.rfind(b",")
        # A comma behind an odd number of quotes is inside the string that the last of them opens.
        while cut >= 0 and window.count(b'"', 0, cut) % 2:
            cut = window.rfind(b",", 0, window.rfind(b'"', 0, cut))
        return cut
    cut = window.rfind(b"},") + 1
    if cut and plain_records(window[:cut]) is not None:
        return cut
    flat = _FLAT_OBJECTS.match(window)
    if flat is not None and flat.end() > len(window) // 2:
        return flat.end() - 1
    depth, cut = 0, -1
    for found in _STRUCTURE.finditer(window):
        mark = found[0]
        if mark == b"," and not depth:
            cut = found.start()
        elif mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
    return cut
