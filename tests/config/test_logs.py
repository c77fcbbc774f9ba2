"""Log lines: their form, and what never gets into them."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from cooee import logs


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_lines_have_time_level_event_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json", "info")
    structlog.get_logger().info("thing_done", count=3)
    structlog.get_logger().debug("not_shown")
    (line,) = lines(capsys)
    assert line["event"] == "thing_done"
    assert line["count"] == 3
    assert line["level"] == "info"
    assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_and_texts_are_hidden_at_any_depth(form: logs.Format, capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup(form, "debug")
    structlog.get_logger().warning(
        "odd",
        password="s3cret-a",
        Authorization="s3cret-b",
        text="s3cret-c",
        request={"body": "s3cret-d", "old_password": "s3cret-e", "kept": "seen"},
        several=[{"message_text": "s3cret-f"}, {"webhook_secret": "s3cret-g"}],
        address="postgresql://cooee:s3cret-h@db/cooee",
    )
    written = capsys.readouterr().err
    assert "s3cret" not in written
    assert written.count(logs.MASK) == 8
    assert "seen" in written
    assert "postgresql://cooee:" in written


def test_an_exception_is_written_without_the_values_of_its_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("console", "info")
    hidden = "s3cret"
    try:
        raise ValueError(f"{len(hidden)} characters")
    except ValueError:
        structlog.get_logger().exception("failed")
    written = capsys.readouterr().err
    assert "ValueError: 6 characters" in written
    assert "s3cret" not in written


def test_pythons_own_logging_takes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json", "info")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("slow callback", "warning", "asyncio")


def test_postgresql_going_away_brings_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json", "info")
    pool = logging.getLogger("asyncpg.pool")
    try:
        raise ConnectionRefusedError("nobody there")
    except ConnectionRefusedError:
        pool.warning("Failed to restore the pool", exc_info=True)
    pool.warning("Pool.close() takes long")
    (line,) = lines(capsys)
    assert line["event"] == "Pool.close() takes long"
