"""What the settings say about sign-ups and mails, as the rooms below are told."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cooee.config import ANY, Settings
from cooee.engine.mailer import MailRules
from cooee.model.clock import DAY, HOUR
from cooee.model.errors import ConfigError
from cooee.model.originator import parse_originator
from cooee.model.signup import SignupRules
from cooee.service.mail import MailServer


def signup_rules(settings: Settings) -> SignupRules:
    """How strangers may sign up."""
    senders = [found.text for text in settings.signup_senders if (found := parse_originator(text)) is not None]
    return SignupRules(
        mode=settings.signup,
        credits=settings.signup_credits,
        countries=tuple(country.upper() for country in settings.signup_countries),
        zone=settings.signup_zone,
        senders=None if ANY in settings.signup_senders else tuple(senders),
        per_address=settings.signup_per_address,
        per_hour=settings.signup_per_hour,
        per_day=settings.signup_per_day,
        link_ms=settings.signup_link_h * HOUR,
        wait_ms=settings.signup_wait_days * DAY,
    )


def mail_rules(settings: Settings) -> MailRules | None:
    """How mails go out; None where none do. ConfigError where the password cannot be read."""
    if settings.signup != "email":
        return None
    server = MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=_password(settings),
        sender=settings.smtp_from,
        hello=urlsplit(settings.public_url).hostname or "localhost",
        timeout_s=settings.smtp_timeout_s,
    )
    return MailRules(server, settings.public_url.rstrip("/"), settings.signup_link_h * HOUR)


def _password(settings: Settings) -> str:
    if not settings.smtp_password_file:
        return settings.smtp_password
    try:
        lines = Path(settings.smtp_password_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise ConfigError(f"smtp_password_file {settings.smtp_password_file} cannot be read: {reason}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"smtp_password_file {settings.smtp_password_file} holds no password")
    return lines[0]
