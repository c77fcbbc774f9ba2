"""Which settings do not go together, or do not mean anything: said before anything is opened or sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from cooee.config.settings import ANY, Settings
from cooee.model.clock import zone
from cooee.model.errors import ConfigError
from cooee.model.msisdn import country_calling_code
from cooee.model.originator import parse_originator
from cooee.model.proxies import TrustedProxies
from cooee.model.signup import check_email

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check(settings: Settings) -> None:
    """ConfigError names the settings that cannot hold together, and what to do."""
    if settings.role != "all" and settings.database.startswith("sqlite"):
        raise ConfigError(
            f"role {settings.role} needs a PostgreSQL database that the nodes share; one SQLite file belongs to "
            "one process: use role all"
        )
    TrustedProxies(settings.trusted_proxies)
    if 0 < settings.keep_messages_days < 8:
        raise ConfigError(
            f"keep_messages_days is {settings.keep_messages_days}: receipts may come for 7 days, so use 8 or "
            "more, or 0 to keep messages for ever"
        )
    _check_signup(settings)


def _check_signup(settings: Settings) -> None:
    """ConfigError where nobody could sign up with these settings, or a password would go out in the clear."""
    if settings.smtp_password and settings.smtp_password_file:
        raise ConfigError("smtp_password and smtp_password_file are both set: which of them holds? take one away")
    in_the_clear = settings.smtp_tls == "none" and settings.smtp_host not in LOOPBACK
    if settings.smtp_user and settings.smtp_host and in_the_clear:
        raise ConfigError(
            "smtp_tls is none and smtp_user is set: the password would go over the network in the clear; use "
            "starttls or tls"
        )
    if settings.signup == "off":
        return
    if not settings.console and settings.role == "all":
        raise ConfigError("signup needs the console, which is off: set console = true, or signup = off")
    if not settings.signup_countries:
        raise ConfigError("signup_countries is empty: name the countries that trial accounts may be of")
    for country in settings.signup_countries:
        try:
            country_calling_code(country)
        except ValueError as error:
            raise ConfigError(f"signup_countries: {error}") from None
    zone(settings.signup_zone)
    for sender in settings.signup_senders:
        if sender != ANY and parse_originator(sender) is None:
            raise ConfigError(f"signup_senders: '{sender}' can be no sender ID")
    if ANY in settings.signup_senders and len(settings.signup_senders) > 1:
        raise ConfigError("signup_senders: any stands alone, for it holds every other sender ID too")
    if settings.signup == "email" and settings.role != "api":
        # A node without an engine sends no mail, and is better off without the password.
        _check_mail(settings)


def _check_mail(settings: Settings) -> None:
    for name in ("smtp_host", "smtp_from", "public_url"):
        if not getattr(settings, name):
            raise ConfigError(f"signup is email, so {name} must be set")
    try:
        check_email(settings.smtp_from)
    except ConfigError as error:
        raise ConfigError(f"smtp_from: {error}") from None
    try:
        url = urlsplit(settings.public_url)
        fine = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        fine = False
    if (
        not fine
        or settings.public_url != settings.public_url.strip()
        or not settings.public_url.isprintable()
        or url.query
        or url.fragment
        or url.username is not None
        or url.path not in ("", "/")
    ):
        raise ConfigError(
            f"public_url is '{settings.public_url}': write it as https://sms.example.com, with nothing behind the "
            "name and the port"
        )
    if bool(settings.smtp_user) != bool(settings.smtp_password or settings.smtp_password_file):
        raise ConfigError("smtp_user needs smtp_password or smtp_password_file, and they need it")
    for name in ("smtp_user", "smtp_password"):
        if not getattr(settings, name).isascii():
            raise ConfigError(f"{name} holds a character that mail servers cannot be told: use ASCII only")
