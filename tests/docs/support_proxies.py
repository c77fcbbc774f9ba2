"""nginx and Caddy with the very lines that docs/operations.md prints, in front of a `cooee serve`.

Only what cannot be had in a test is another: ports, and the certificate's place. Everybody is on this machine, so
clients ask from addresses of their own in 127.0.0.0/8; the proxy asks from 127.0.0.1.
"""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import os
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.api.support_api import basic
from tests.console.support_console import Browser
from tests.docs.support_docs import DOCS, blocks
from tests.reconcile.support_stack import PASSWORD, free_port, wait_for

HOST = "sms.example.org"
ORIGIN = f"https://{HOST}"
PROGRAMS = ("nginx", "caddy")
UNPACKED = Path(sys.prefix) / "proxies" / "usr"
"""Where `make test` unpacks Debian's packages of them."""


def program(name: str) -> str:
    """Where nginx or Caddy is."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/sbin", str(UNPACKED / "sbin"), str(UNPACKED / "bin")])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.fail(f"there is no {name} on this machine: apt-get install {name} (`make test` tries to get it)")
    return found


def example(name: str) -> str:
    """The lines for `name` that the page prints."""
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    found = re.search(rf"^With {name}\b.*?^```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    assert found is not None, name
    return found[1]


def balancer() -> str:
    """The lines for Caddy before two API nodes, as docs/scaling.md prints them."""
    (text,) = [block.text for block in blocks(DOCS / "scaling.md") if "reverse_proxy" in block.text]
    return text


def proxies_setting() -> str:
    """`trusted_proxies` as the page has it, for the environment."""
    printed = (block.text for block in blocks(DOCS / "operations.md") if block.language == "toml")
    (text,) = [text for text in printed if "trusted_proxies" in text]
    return ",".join(tomllib.loads(text)["trusted_proxies"])


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """`text` with every key, which must be in it, replaced."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the example:\n{text}"
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for HOST that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, secret


class Proxy:
    """One of the two, running; `port` speaks https."""

    def __init__(self, name: str, folder: Path, text: str) -> None:
        """`text` is the example, with the ports of servers that run."""
        self.name = name
        self.port = free_port()
        self.certificate, self._key = make_certificate(folder)
        self._folder = folder
        file = folder / f"{name}.conf"
        file.write_text(self._nginx(text) if name == "nginx" else self._caddy(text), encoding="utf-8")
        self._arguments = (
            [program(name), "-e", "stderr", "-p", str(folder), "-c", str(file)]
            if name == "nginx"
            else [program(name), "run", "--adapter", "caddyfile", "--config", str(file)]
        )

    def _nginx(self, text: str) -> str:
        """Debian's nginx.conf has the like around its sites."""
        text = replaced(
            text,
            {
                "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
                f"/etc/ssl/{HOST}.pem": str(self.certificate),
                f"/etc/ssl/{HOST}.key": str(self._key),
            },
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {self._folder / kind};\n" for kind in kinds)
        user = "user root;\n" if os.geteuid() == 0 else ""
        return (
            f"{user}daemon off;\nworker_processes 1;\npid {self._folder / 'nginx.pid'};\n"
            f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\ngzip on;\n{folders}{text}}}\n"
        )

    def _caddy(self, text: str) -> str:
        """Without this it would ask an authority for the certificate, and listen for everybody."""
        head = (
            "{\n    admin off\n    auto_https disable_redirects\n"
            f"    https_port {self.port}\n    default_bind 127.0.0.1\n}}\n"
        )
        return head + replaced(text, {f"{HOST} {{\n": f"{HOST} {{\n    tls {self.certificate} {self._key}\n"})

    def __enter__(self) -> Proxy:
        with (self._folder / f"{self.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "XDG_DATA_HOME": str(self._folder)},
            )

        def listens() -> bool:
            assert self._process.poll() is None, self.log
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True

        wait_for(f"{self.name} listens", listens, 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._folder / f"{self.name}.log").read_text(encoding="utf-8")


class Tls(http.client.HTTPSConnection):
    """From an address of one's own to the proxy, by its public name."""

    def __init__(self, proxy: Proxy, source: str) -> None:
        assert ipaddress.ip_address(source).is_loopback
        self._certificates = ssl.create_default_context(cafile=str(proxy.certificate))
        super().__init__(HOST, timeout=30, context=self._certificates)
        self._from, self._to = (source, 0), ("127.0.0.1", proxy.port)

    def connect(self) -> None:
        plain = socket.create_connection(self._to, 30, self._from)
        self.sock = self._certificates.wrap_socket(plain, server_hostname=HOST)


class Client:
    """A program that uses the API through the proxy, over one connection."""

    def __init__(self, proxy: Proxy, source: str, password: str = PASSWORD, account: str = "acme") -> None:
        self._connection = Tls(proxy, source)
        self._login = basic(account, password)

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | Iterable[bytes] | None = None,
        **headers: str,
    ) -> tuple[int, bytes]:
        """HTTP status and body."""
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        sent = {"Authorization": self._login, **{name.replace("_", "-"): text for name, text in headers.items()}}
        self._connection.request(method, path, data, sent)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def post(self, path: str, body: Mapping[str, Any] | bytes | Iterable[bytes], **headers: str) -> dict[str, Any]:
        """The JSON of an answer 200."""
        status, answer = self.ask("POST", path, body, **headers)
        assert status == 200, (status, answer[:500])
        found: dict[str, Any] = json.loads(answer)
        return found

    def ask_listening(self, path: str, body: bytes) -> bytes:
        """Posts, and hears meanwhile what is said before the end; all of it, until the other side closes."""
        self._connection.putrequest("POST", path)
        self._connection.putheader("Authorization", self._login)
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders()
        sock = self._connection.sock
        sock.setblocking(False)
        unsent, heard = memoryview(body), b""
        try:
            while True:
                with suppress(ssl.SSLWantReadError):
                    piece = sock.recv(1 << 16)
                    if not piece:
                        break
                    heard += piece
                if not unsent and not select.select([sock], [], [], 30)[0]:
                    break
                try:
                    unsent = unsent[sock.send(unsent[: 1 << 16]) :]
                except ssl.SSLWantWriteError:
                    select.select([sock], [sock], [], 1)
                except OSError:
                    unsent = unsent[:0]
        except OSError:
            pass
        finally:
            self.close()
        return heard

    def ask_and_go(self, path: str) -> None:
        """Posts an empty object, and hangs up before anybody can have answered."""
        self._connection.request("POST", path, b"{}", {"Authorization": self._login})
        time.sleep(0.3)
        self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


class Visitor(Browser):
    """A browser at the public address, with what it says about itself in `headers`."""

    def __init__(self, proxy: Proxy, source: str, **headers: str) -> None:
        super().__init__(site=None)  # type: ignore[arg-type]
        self._proxy, self._source = proxy, source
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}

    def _connection(self) -> http.client.HTTPConnection:
        return Tls(self._proxy, self._source)

    def _once(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Any:
        origin = {"Origin": ORIGIN} if method == "POST" else {}
        return super()._once(method, url, body, {**origin, **self.headers, **headers})
