"""Control from outside: a line of JSON in, a line of JSON out, on the loopback interface only.

    {"do": "stats"}                                       {"do": "reset"}
    {"do": "throttle", "tps": 100}                        {"do": "set", "fail": 0.5, "receipt_delay": 0.1}
    {"do": "silence", "seconds": 5, "submits": "accept"}  {"do": "speak"}
    {"do": "drop", "system_id": "x", "mid_pdu": true}     {"do": "unbind"}
    {"do": "refuse_binds", "on": true}                    {"do": "handset", "number": "61…", "state": "off"}
    {"do": "reply", "from": "61…", "to": "61…", "text": "STOP"}
    {"do": "inbox", "number": "61…"}

Every answer has `ok`; where that is false, `error` is a sentence. A line that cannot be understood gets one too.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from cooee.model.errors import ConfigError, CooeeError

if TYPE_CHECKING:
    from cooee.smpp.smsc.server import Smsc

_LIMIT = 64 * 1024
_HOST = "127.0.0.1"


class ControlServer:
    """Answers control lines about one SMSC."""

    def __init__(self, smsc: Smsc) -> None:
        self._smsc = smsc
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "stats": lambda _: self._smsc.stats(),
            "reset": self._reset,
            "throttle": lambda ask: self._set({"tps": ask["tps"]}),
            "set": self._set,
            "silence": self._silence,
            "speak": self._speak,
            "drop": self._drop,
            "unbind": lambda ask: {"binds": self._smsc.unbind(_text(ask, "system_id", None))},
            "refuse_binds": lambda ask: self._set({"refuse_binds": ask["on"]}),
            "handset": self._handset,
            "reply": self._reply,
            "inbox": self._inbox,
        }

    async def start(self, port: int) -> int:
        """Listens, and returns the port. OSError when it is taken."""
        self._server = await asyncio.start_server(self._serve, _HOST, port, limit=_LIMIT)
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def stop(self) -> None:
        """Stops listening and closes what is open."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:
                    writer.write(_line({"ok": False, "error": f"a line has at most {_LIMIT} octets"}))
                    return
                if not line:
                    return
                writer.write(_line(self.carry_out(line)))
                await writer.drain()
        except ConnectionError:
            return
        finally:
            self._open.discard(writer)
            writer.close()

    def carry_out(self, line: bytes) -> dict[str, Any]:
        """The answer to one line."""
        try:
            ask = json.loads(line)
        except ValueError:
            return {"ok": False, "error": "the line is no JSON"}
        if not isinstance(ask, dict) or not isinstance(ask.get("do"), str):
            return {"ok": False, "error": "the line is no object with a command in 'do'"}
        command = self._commands.get(ask.pop("do"))
        if command is None:
            return {"ok": False, "error": f"commands are {', '.join(self._commands)}"}
        try:
            return {"ok": True, **command(ask)}
        except KeyError as error:
            return {"ok": False, "error": f"{error} is missing"}
        except (CooeeError, ValueError) as error:
            return {"ok": False, "error": str(error)}

    def _reset(self, _: dict[str, Any]) -> dict[str, Any]:
        self._smsc.reset()
        return {}

    def _set(self, ask: dict[str, Any]) -> dict[str, Any]:
        self._smsc.set(**ask)
        return {name: msgspec.to_builtins(getattr(self._smsc.config, name)) for name in ask}

    def _silence(self, ask: dict[str, Any]) -> dict[str, Any]:
        seconds = ask.get("seconds")
        submits = ask.get("submits", "ignore")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
            raise ConfigError("'seconds' is a number; leave it out for a silence without end")
        if submits not in ("ignore", "accept", "late"):
            raise ConfigError("'submits' is ignore, accept or late")
        self._smsc.silence(seconds, submits)
        return {}

    def _speak(self, _: dict[str, Any]) -> dict[str, Any]:
        self._smsc.speak()
        return {}

    def _drop(self, ask: dict[str, Any]) -> dict[str, Any]:
        mid_pdu = ask.get("mid_pdu", False) is True
        return {"connections": self._smsc.drop(_text(ask, "system_id", None), mid_pdu=mid_pdu)}

    def _handset(self, ask: dict[str, Any]) -> dict[str, Any]:
        self._smsc.handset(_number(ask), _needed(ask, "state"))
        return {}

    def _reply(self, ask: dict[str, Any]) -> dict[str, Any]:
        parts = self._smsc.reply(
            _needed(ask, "from"), _needed(ask, "to"), _needed(ask, "text"), _text(ask, "system_id", None)
        )
        return {"parts": parts}

    def _inbox(self, ask: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [text.as_json() for text in self._smsc.inbox(_number(ask))]}


def _text(ask: dict[str, Any], name: str, default: str | None) -> str | None:
    value = ask.get(name, default)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"'{name}' is a text")
    return value


def _needed(ask: dict[str, Any], name: str) -> str:
    value = _text(ask, name, None)
    if value is None:
        raise KeyError(name)
    return value


def _number(ask: dict[str, Any]) -> str:
    number = _needed(ask, "number")
    if not number.isascii():
        raise ConfigError("'number' has ASCII characters only")
    return number


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def control(host: str, port: int, ask: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Sends one control line and returns its answer (blocking).

    OSError (TimeoutError among them) when nobody answers within `timeout` seconds.
    """
    with socket.create_connection((host, port), timeout) as peer, peer.makefile("rb") as lines:
        peer.sendall(_line(ask))
        line = lines.readline()
    if not line:
        raise ConnectionResetError("the SMSC closed the control connection")
    answer: dict[str, Any] = json.loads(line)
    return answer
