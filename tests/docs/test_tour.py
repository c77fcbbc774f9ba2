"""The README's tour, typed in from top to bottom as it is printed, shows what the README prints."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.support_docs import ROOT

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d")
_CURL = """
import sys, urllib.request
user, url, body = sys.argv[2], sys.argv[3], sys.argv[5]
import base64
login = base64.b64encode(user.encode()).decode()
request = urllib.request.Request(url, body.encode(), {"Authorization": f"Basic {login}"})
sys.stdout.write(urllib.request.urlopen(request, timeout=30).read().decode())
"""
"""What the tour needs of curl: -u USER:PASSWORD URL -d BODY."""


def tour() -> list[tuple[str, str, str]]:
    """Commands, what they print, and its language; '' where nothing is printed."""
    section = (ROOT / "README.md").read_text(encoding="utf-8")
    section = section[section.index("## A tour of five minutes") :]
    blocks = _BLOCK.findall(section[: section.index("\n## ")])
    steps: list[tuple[str, str, str]] = []
    for language, text in blocks:
        if language:
            commands, printed, _ = steps.pop()
            assert not printed, f"two outputs for {commands}"
            steps.append((commands, text, language))
        else:
            steps.append((text, "", ""))
    return steps


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


class Terminal:
    """A shell in a folder of its own; the tour's ports are others here. What serves goes to the background."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: str(free_port()) for name in ("8080", "8081", "2776")}
        self._served: list[subprocess.Popen[bytes]] = []
        tools = folder / "bin"
        tools.mkdir()
        (tools / "curl.py").write_text(_CURL, encoding="utf-8")
        for name, what in (("cooee", "-m cooee"), ("curl", tools / "curl.py"), ("python3", "")):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n', encoding="utf-8")
            tool.chmod(0o755)
        self._environ = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "COOEE_PORT": self._ports["8080"],
            "LANG": "C.UTF-8",
        }

    def type(self, commands: str) -> str:
        """What a block prints; empty for one that goes on running, which is waited for until it listens."""
        for name, port in self._ports.items():
            commands = re.sub(rf"\b{name}\b", port, commands)
        # The tour's is where handsets are looked for by default.
        commands = re.sub(
            r"cooee handset (\w+)", rf"cooee handset \1 --control-port {self._ports['2776']}", commands
        )
        if "export " in commands:
            self._environ["COOEE_WEBHOOK_ALLOW_PRIVATE"] = "true"
        *before, last = commands.splitlines()
        if last.startswith("cooee serve"):
            self._run("\n".join(before))
            self._serve(last, self._ports["8080"])
            return ""
        if "serve_forever" in last:
            self._serve(commands, self._ports["8081"])
            return ""
        return self._run(commands)

    def _run(self, commands: str) -> str:
        done = subprocess.run(
            ["sh", "-e", "-c", commands],
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, commands: str, port: str) -> None:
        self._served.append(
            subprocess.Popen(
                ["sh", "-c", commands],
                cwd=self._folder,
                env=self._environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"nothing listens: {commands}")

    def replies(self) -> int:
        """How many replies have come in."""
        return len(json.loads(self._run("cooee reply list acme --json")))

    def close(self) -> None:
        for each in reversed(self._served):
            os.killpg(each.pid, signal.SIGTERM)
            each.wait(30)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()


def plain(text: str) -> str:
    """Without what differs from run to run, and without the port that stands for another one."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", _TIME.sub(r"0000-00-00\g<1>00:00:00", text)).strip()


READS = ("DRStatus", "handset inbox", "campaign show")
"""What may be looked at again until it is there: receipts take a moment."""


def test_the_tour_shows_what_it_says(terminal: Terminal) -> None:
    replies = 0
    for commands, printed, language in tour():
        said = terminal.type(commands)
        for _ in range(40):
            if plain(said) == plain(printed) or not printed or not any(read in commands for read in READS):
                break
            time.sleep(0.25)
            said = terminal.type(commands)
        if printed:
            assert plain(said) == plain(printed)
        if language == "json":
            json.loads(said)
        replies += commands.count("cooee handset reply")
        for _ in range(40):
            if "handset reply" not in commands or terminal.replies() == replies:
                break
            time.sleep(0.25)
        else:
            raise AssertionError("the replies did not come in")
    assert replies == 3
