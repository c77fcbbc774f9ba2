"""`make run` opens on the console: what it prints leads inside. And a node that nobody looks at stays small."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.console.support_console import Browser


def environ(**more: str) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("COOEE_")}, **more}


def test_the_demo_prints_the_way_in(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cooee", "demo", "--port", "0"],
        env=environ(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "Console" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        found = re.search(r"Console +http://127\.0\.0\.1:(\d+)/ +account (\S+), password (\S+)", said)
        assert found is not None, said
        site = cast("Any", SimpleNamespace(port=int(found[1])))
        inside = Browser(site).sign_in(found[2], found[3])
        assert inside.url == "/"
        assert "Simulated carrier." in inside.words
        opens = re.search(r"Open +http://127\.0\.0\.1:\d+(/\S+) +operator (\S+), password (\S+)", said)
        assert opens is not None, said
        door = Browser(site)
        assert door.get(opens[1]).url == "/operator/sign-in?next=/operator/handsets"
        wall = door.post(door.get(opens[1]).url, {"name": opens[2], "password": opens[3], "next": opens[1]})
        assert wall.url == "/operator/handsets"
        assert "The phones behind the simulated carrier." in wall.words
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_pages_and_their_libraries_are_read_with_the_first_request() -> None:
    code = (
        "import sys, cooee.app.node; "
        "print([name for name in ('starlette', 'jinja2', 'python_calamine') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ())
    assert done.stdout.splitlines()[-1] == "[]"
