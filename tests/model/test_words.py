"""Counts in sentences."""

from __future__ import annotations

import pytest

from cooee.model.words import counted


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [(0, ("message",), "0 messages"), (1, ("message",), "1 message"), (2, ("message",), "2 messages"),
     (-1, ("credit",), "-1 credit"), (1, ("reply", "replies"), "1 reply"), (3, ("reply", "replies"), "3 replies")],
)  # fmt: skip
def test_one_is_no_plural(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said
