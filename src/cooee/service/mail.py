"""Handing one mail to a mail server (SMTP, RFC 5321), and a verdict.

smtplib waits in a thread. Every wait there has a limit, and all of them together have one: then the connection is
cut, whatever the server is doing, and the thread ends by itself. With `starttls` and `tls` the certificate of the
server must be good for its name, and there is no way back to plain text.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import formatdate
from secrets import token_hex
from typing import Literal

from cooee.model.clock import Clock

Tls = Literal["starttls", "tls", "none"]

REASON_LENGTH = 200
_ENHANCED = re.compile(r"#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![\w.@])")
"""The enhanced status code that a reply begins with (RFC 2034 §4); some servers write a # before it."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails go. `timeout_s` holds for each answer, three times that for a whole mail. `hello` is the name
    that Cooee says it has."""

    host: str
    port: int = 587
    tls: Tls = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    hello: str = "localhost"
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it. `final`: that address gets no mail, however often it is tried. `server`: the fault is the
    mail server's or its settings', so that the next mail fares no better. `reason` is for people.

    `codes`, as in "550 5.7.1": this mail or its recipient was refused. They are all of it that a log may have: the
    words in `reason` are the mail server's, and may hold the address.
    """

    sent: bool
    reason: str = ""
    final: bool = False
    server: bool = False
    codes: str = ""


class _Attempt:
    """One mail on its way, in a thread of its own."""

    def __init__(self, server: MailServer, to: str, content: bytes) -> None:
        self._server, self._to, self._content = server, to, content
        self._smtp: smtplib.SMTP | None = None
        self._over = False

    def cut(self) -> None:
        """Ends it, wherever it is: whoever waits for an octet is told that there are none."""
        self._over = True
        sock = self._smtp.sock if self._smtp is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> Verdict:
        """In the thread."""
        try:
            self._converse()
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()), (0, b""))
            return _refused(code, text)
        except smtplib.SMTPDataError as error:
            return _refused(error.smtp_code, error.smtp_error)
        except smtplib.SMTPNotSupportedError as error:
            return Verdict(False, f"the mail server cannot do what is set: {_plain(str(error))}", server=True)
        except smtplib.SMTPResponseException as error:
            # A login, a greeting or our own sender was refused: that is no recipient's fault, also for good. No
            # recipient was named by then, so that the words may go into the log.
            return Verdict(False, _said(error.smtp_code, error.smtp_error), server=True)
        except smtplib.SMTPServerDisconnected:
            return Verdict(False, "the mail server closed the connection, or did not answer in time", server=True)
        except ssl.SSLCertVerificationError as error:
            return Verdict(
                False, f"the mail server's certificate is not good: {error.verify_message}", server=True
            )
        except TimeoutError:
            return Verdict(False, "the mail server did not answer in time", server=True)
        except (OSError, smtplib.SMTPException) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Verdict(False, f"the mail server cannot be reached: {_plain(reason)}", server=True)
        except UnicodeError:
            return Verdict(
                False,
                "smtp_host, smtp_user or smtp_password holds what a mail server cannot be told (ASCII only)",
                server=True,
            )
        except Exception as error:
            return Verdict(False, f"the mail could not be sent: {type(error).__name__}", server=True)
        finally:
            if self._smtp is not None:
                self._smtp.close()
        return Verdict(True)

    def _converse(self) -> None:
        server = self._server
        smtp = self._open()
        smtp.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo()
        if server.user:
            smtp.login(server.user, server.password)
        if self._over:
            # Given up, and about to be tried again.
            raise TimeoutError
        if self._to:
            smtp.sendmail(server.sender, [self._to], self._content)
        # The mail is theirs by now: how they part with us changes nothing.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            smtp.quit()

    def _open(self) -> smtplib.SMTP:
        server = self._server
        if self._over:
            raise TimeoutError
        smtp: smtplib.SMTP
        if server.tls == "tls":
            smtp = smtplib.SMTP_SSL(
                local_hostname=server.hello, timeout=server.timeout_s, context=ssl.create_default_context()
            )
        else:
            smtp = smtplib.SMTP(local_hostname=server.hello, timeout=server.timeout_s)
        # Kept before it connects, so that it can be cut; the name is what the certificate is held against.
        self._smtp = smtp
        smtp._host = server.host  # type: ignore[attr-defined]
        code, text = smtp.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        return smtp


async def send(server: MailServer, message: EmailMessage) -> Verdict:
    """Hands a mail to the server. Never raises but for being cancelled, which cuts the connection."""
    return await _carried_out(_Attempt(server, str(message["To"]), message.as_bytes(policy=WIRE)), server)


async def probe(server: MailServer) -> Verdict:
    """Connects and signs in, and sends nothing."""
    return await _carried_out(_Attempt(server, "", b""), server)


async def _carried_out(attempt: _Attempt, server: MailServer) -> Verdict:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Verdict] = loop.create_future()

    def settle(verdict: Verdict) -> None:
        if not ended.done():
            ended.set_result(verdict)

    def work() -> None:
        verdict = attempt.run()
        # The loop may be gone by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, verdict)

    # A daemon: looking a name up cannot be cut, and must not hold a node that stops.
    threading.Thread(target=work, name="mail", daemon=True).start()
    try:
        async with asyncio.timeout(3 * server.timeout_s):
            return await asyncio.shield(ended)
    except TimeoutError:
        return Verdict(False, "the mail server did not answer in time", server=True)
    finally:
        attempt.cut()


def letter(server: MailServer, clock: Clock, *, to: str, subject: str, text: str) -> EmailMessage:
    """A mail of plain text that no machine should answer (RFC 3834 §5)."""
    made = EmailMessage()
    made["From"] = server.sender
    made["To"] = to
    if str(made["To"]) != to:
        raise ValueError("a header holds another address than was given")
    made["Subject"] = subject
    made["Date"] = formatdate(clock.now_ms() / 1000)
    made["Message-ID"] = f"<{token_hex(16)}@{server.sender.rpartition('@')[2].rstrip('>')}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text)
    return made


def _refused(code: int, text: bytes | str) -> Verdict:
    """A mail, or its recipient, was refused, which says nothing about the next one.

    What is for good is final, but where policy or a missing login is the reason (RFC 3463 §3.8: x.7.x; RFC 4954
    §6): that may be about us, and mended by whoever runs the mail server, or about this recipient.
    """
    found = _ENHANCED.match(_text(text))
    enhanced = found[1] if found is not None else ""
    mendable = code in (530, 534, 535, 538) or enhanced.startswith("5.7.")
    return Verdict(
        False, _said(code, text), final=code >= 500 and not mendable, codes=f"{code} {enhanced}".rstrip()
    )


def _said(code: int, text: bytes | str) -> str:
    return f"the mail server said {code} {_plain(_text(text))}".rstrip()


def _text(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _plain(text: str) -> str:
    """One line of printable characters, cut."""
    found = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return found if len(found) <= REASON_LENGTH else found[: REASON_LENGTH - 1] + "…"
