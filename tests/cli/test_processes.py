"""Commands as real processes: what a shell sees of them."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.support_cli import PASSWORD, Shell
from tests.cli.test_carriers import SETTINGS

COOEE = [sys.executable, "-m", "cooee"]


def environ(**more: str) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("COOEE_")}, **more}


def test_exit_codes_and_streams(tmp_path: Path) -> None:
    where = environ(COOEE_DATABASE=f"sqlite:///{tmp_path / 'c.db'}")
    add = subprocess.run(
        [*COOEE, "account", "add", "acme", "--password-stdin"], input=PASSWORD + "\n", text=True, env=where,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (add.returncode, add.stdout) == (0, "account acme added, UserId 1001\n")
    assert add.stderr == f"Note: {tmp_path}/c.db is a new database; its key file is {tmp_path}/c.db.key\n"
    again = subprocess.run(
        [*COOEE, "account", "add", "acme", "--password-stdin"], input=PASSWORD + "\n", text=True, env=where,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "Error: there is an account 'acme' already\n"
    listed = subprocess.run([*COOEE, "account", "list", "--json"], env=where, capture_output=True, check=True)
    assert json.loads(listed.stdout)[0]["name"] == "acme"
    wrong = subprocess.run(
        [*COOEE, "account", "list"],
        env={**where, "COOEE_HOTS": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 1
    assert wrong.stderr == "Error: unknown setting 'COOEE_HOTS' in the environment: did you mean COOEE_HOST?\n"


def test_a_password_that_is_typed_is_not_shown(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COOEE, "account", "add", "acme", "--password-stdin"],
            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env=environ(COOEE_DATABASE=f"sqlite:///{tmp_path / 'c.db'}"),
        )  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.read(8) == b"Password"
        time.sleep(0.2)
        os.write(ours, PASSWORD.encode() + b"\n")
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"account acme added, UserId 1001\n")
        os.set_blocking(ours, False)
        try:
            echoed = os.read(ours, 1000)
        except BlockingIOError:
            echoed = b""
        assert PASSWORD.encode() not in echoed
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_overview_loads_no_driver() -> None:
    """Start time and idle memory: what a command does not need is not imported."""
    heavy = ("asyncpg", "apsw", "cryptography", "phonenumbers", "prometheus_client", "argon2", "uvicorn")
    code = (
        "import sys; from cooee.cli import main; main(['--help'], standalone_mode=False);"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ())
    assert done.stdout.splitlines()[-1] == "[]"


def test_sigterm_as_soon_as_it_answers_stops_it_in_order(tmp_path: Path) -> None:
    """A supervisor may change its mind at once: there is no moment when a signal just kills."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = environ(COOEE_DATABASE=f"sqlite:///{tmp_path / 'c.db'}", COOEE_PORT=str(port))
    process = subprocess.Popen([*COOEE, "serve"], env=where, stderr=subprocess.DEVNULL)
    try:
        # Connections are taken before the node is up.
        for _ in range(2000):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_command_may_write_beside_another(tmp_path: Path) -> None:
    """Six processes at once on one SQLite file: each waits for its turn."""
    where = environ(COOEE_DATABASE=f"sqlite:///{tmp_path / 'c.db'}")
    subprocess.run(
        [*COOEE, "account", "add", "acme", "--password-stdin"], input=PASSWORD + "\n", text=True, env=where,
        capture_output=True, check=True,
    )  # fmt: skip
    running = [
        subprocess.Popen([*COOEE, "account", "credit", "acme", "1", "--reason", f"no {n}"], env=where,
                         stdout=subprocess.DEVNULL)
        for n in range(6)
    ]  # fmt: skip
    assert [process.wait(30) for process in running] == [0] * 6
    shown = subprocess.run(
        [*COOEE, "account", "show", "acme", "--json"], env=where, capture_output=True, check=True
    )
    assert json.loads(shown.stdout)["credits"] == 6


def test_the_smsc_serves_and_stops_in_order(sqlite: Shell) -> None:
    credentials = sqlite.folder / "who"
    credentials.write_text("# may bind\nacme:s3cret\n")
    process = subprocess.Popen(
        [*COOEE, "smsc", "--port", "0", "--control-port", "0", "--fail", "0.5", "--failures", "REJECTD=044",
         "--statuses", "ESME_RTHROTTLED=0.1", "--credentials", str(credentials)],
        env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said.startswith("SMSC on 127.0.0.1:")
        port = int(said.split(",")[0].rsplit(":", 1)[1])
        control = int(said.strip().rsplit(":", 1)[1])
        sqlite("carrier", "add", "telco", "--kind", "smpp", *SETTINGS, "--set", f"port={port}", "--password-stdin",
               stdin="s3cret\n")  # fmt: skip
        assert sqlite("carrier", "check", "telco").startswith("OK")
        with socket.create_connection(("127.0.0.1", control), 5) as line:
            line.sendall(b'{"do": "stats"}\n')
            assert json.loads(line.makefile().readline())["binds"] == 1
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        assert json.loads(rest.partition("\n")[2])["binds"] == 1
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--fail", "2"], 1, "fail in the flags: takes a number from 0 to 1, not 2.0"),
        (["--statuses", "ESME_RTHROTTLED"], 2, "is not of the form STATUS=SHARE"),
        (["--statuses", "ESME_RNONSENSE=0.1"], 1, "'ESME_RNONSENSE' is no command status"),
        (["--ids", "roman"], 2, "is not one of"),
    ],
)
def test_wrong_flags_of_the_smsc(sqlite: Shell, flags: list[str], code: int, said: str) -> None:
    assert said in sqlite("smsc", "--port", "0", *flags, code=code)


def test_the_smsc_says_when_its_port_is_taken(sqlite: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"the SMSC cannot listen on 127.0.0.1:{port}" in sqlite("smsc", "--port", str(port), code=1)


def test_credentials_are_read_from_a_file(sqlite: Shell) -> None:
    path = sqlite.folder / "who"
    path.write_text("acme\n")
    assert "line 1: write system_id:password" in sqlite("smsc", "--credentials", str(path), code=1)
    path.write_text("# nobody\n")
    assert "names nobody" in sqlite("smsc", "--credentials", str(path), code=1)
