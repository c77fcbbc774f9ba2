"""Addresses within the console."""

from __future__ import annotations

from urllib.parse import urlsplit


def local_path(text: str, fallback: str) -> str:
    """`text` if it is a path of this console, else `fallback`: a link must not lead elsewhere after signing in."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return fallback
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and "\\" not in text
    return text if plain and not parts.netloc and text.isprintable() else fallback
