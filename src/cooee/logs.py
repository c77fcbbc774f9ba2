"""Logs: structlog to stderr, as JSON or for a console. Secrets and message texts never get there.

Python's own logging (uvicorn, asyncio) runs through the same processors.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

Format = Literal["console", "json"]
Event = MutableMapping[str, Any]

HIDDEN = frozenset({"authorization", "body", "cookie", "message_text", "password", "secret", "text"})
"""Keys whose values are never written; so are those that end in `_password`, `_secret` or `_text`."""
MASK = "[hidden]"


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter for a library that warns with a traceback of what our own events say in a sentence."""
    return record.exc_info is None


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_CREDENTIALS = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+(?=@)")


def redact(_logger: object, _method: str, event: Event) -> Event:
    """A structlog processor: masks values of hidden keys at any depth, and passwords in addresses."""
    for key, value in event.items():
        event[key] = _safe(key, value)
    return event


def _safe(key: object, value: object) -> object:
    if isinstance(key, str):
        lower = key.lower()
        if lower in HIDDEN or lower.endswith(("_password", "_secret", "_text")):
            return MASK
    match value:
        case str():
            return _CREDENTIALS.sub(r"\1:" + MASK, value) if "://" in value else value
        case dict():
            return {name: _safe(name, inner) for name, inner in value.items()}
        case list() | tuple():
            return [_safe(None, inner) for inner in value]
        case _:
            return value


def setup(form: Format = "console", level: str = "info") -> None:
    """Sets logging up for the process; called once, before anything is logged. `level` is a name in lower case."""
    number = _LEVELS[level]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Any
    if form == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    # It warns of every request that is no HTTP: anybody could fill the log with that.
    logging.getLogger("uvicorn.error").setLevel(max(number, logging.ERROR))
    # It does so whenever PostgreSQL goes away.
    logging.getLogger("asyncpg.pool").addFilter(without_traceback)
