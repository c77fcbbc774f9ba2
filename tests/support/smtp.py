"""A mail server on loopback that answers as a test says, and keeps what it was told."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType


@dataclass
class FakeSmtp:
    """`answers` are the replies to commands (by their first word, `GREETING`, or `.` for a whole mail) that are
    not the usual ones. `silent` names what is never answered, `slow` what is answered octet by octet without end.
    With `context` it offers STARTTLS, or, where `implicit`, speaks TLS from the first octet."""

    answers: dict[str, str] = field(default_factory=dict)
    silent: str = ""
    slow: str = ""
    context: ssl.SSLContext | None = None
    implicit: bool = False
    offers: tuple[str, ...] = ("AUTH PLAIN",)
    mails: list[tuple[str, str, EmailMessage]] = field(default_factory=list)
    """(sender, recipient, mail) of each that was taken."""
    logins: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Every command of a client."""
    clear: bytes = b""
    """What came before TLS."""

    def __enter__(self) -> FakeSmtp:
        self._open = True
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._open = False
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while self._open:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.implicit and self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            self._talk(sock)
        except (OSError, ValueError):
            pass
        finally:
            sock.close()

    def _talk(self, sock: socket.socket) -> None:
        encrypted = self.implicit
        if not self._answer(sock, "GREETING", "220 fake ready"):
            return
        sender = recipient = ""
        pending = b""

        def line() -> bytes | None:
            nonlocal pending
            while b"\r\n" not in pending:
                got = sock.recv(4096)
                if not got:
                    return None
                pending += got
                if not encrypted:
                    self.clear += got
            found, _, pending = pending.partition(b"\r\n")
            return found

        while (raw := line()) is not None:
            text = raw.decode("latin-1")
            command, space, rest = text.partition(" ")
            word = command.upper()
            self.said.append(word + space + rest)
            if word == "EHLO":
                tls = self.context is not None and not encrypted
                names = ["fake", *(("STARTTLS",) if tls else ()), *self.offers]
                lines = [f"250{'-' if name != names[-1] else ' '}{name}" for name in names]
                if not self._answer(sock, word, "\r\n".join(lines)):
                    return
            elif word == "STARTTLS" and self.context is not None and word not in self.answers:
                sock.sendall(b"220 go on\r\n")
                sock = self.context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
                encrypted = True
            elif word == "AUTH":
                self.logins.append(base64.b64decode(text.split(" ")[2]).decode().strip("\0"))
                if not self._answer(sock, word, "235 welcome"):
                    return
            elif word == "DATA":
                if not self._answer(sock, word, "354 go on"):
                    return
                if word in self.answers:
                    continue
                body = []
                while (part := line()) is not None and part != b".":
                    body.append(part[1:] if part.startswith(b".") else part)
                if not self._answer(sock, ".", "250 taken"):
                    return
                if "." not in self.answers:
                    mail = message_from_bytes(b"\r\n".join(body) + b"\r\n", policy=policy.SMTP)
                    self.mails.append((sender, recipient, mail))
            elif word == "QUIT":
                self._answer(sock, word, "221 bye")
                return
            else:
                if word == "MAIL":
                    sender = text.partition("<")[2].partition(">")[0]
                elif word == "RCPT":
                    recipient = text.partition("<")[2].partition(">")[0]
                if not self._answer(sock, word, "250 fine"):
                    return

    def _answer(self, sock: socket.socket, word: str, usual: str) -> bool:
        """False where the conversation ends here."""
        if word == self.silent:
            sock.recv(1)
            return False
        if word == self.slow:
            while self._open:
                sock.sendall(b"2")
                time.sleep(0.05)
            return False
        sock.sendall(self.answers.get(word, usual).encode() + b"\r\n")
        return True
