"""Counts in sentences for people."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 message`, `2 messages`; `many` where the plural is not made by an s."""
    return f"{count} {one if abs(count) == 1 else many or one + 's'}"
