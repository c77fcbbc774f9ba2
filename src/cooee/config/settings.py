"""Every setting there is: a field of `Settings`, with what it takes and what it means."""

from __future__ import annotations

import os
import socket
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ANY = "any"
"""Among `signup_senders`: every valid sender ID."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a node can be told. Durations end in `_s` (seconds) or `_h` (hours)."""

    database: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where everything is kept: `sqlite:///relative.db`, `sqlite:////absolute.db` or "
            "`postgresql://user:password@host/name`.",
        ),
    ] = "sqlite:///cooee.db"
    key_file: Annotated[
        str,
        Meta(
            description="File that carrier passwords and other secrets are encrypted with. Empty: beside the "
            "SQLite file with `.key` after its name, or `cooee.key` in the working directory for PostgreSQL.",
        ),
    ] = ""
    codes_file: Annotated[
        str,
        Meta(
            description="TOML file with names of your own for the codes of messages. Empty: those that Cooee "
            "brings.",
        ),
    ] = ""
    pool_size: Annotated[
        int, Meta(ge=2, le=100, description="Connections that a node opens to PostgreSQL at most.")
    ] = 10
    host: Annotated[
        str, Meta(min_length=1, description="Address that the API listens on; `0.0.0.0` for every one.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port of the API; 0 takes a free one.")] = 8080
    role: Annotated[
        Literal["all", "api", "engine"],
        Meta(description="Which half of Cooee this node runs. `api` and `engine` need PostgreSQL."),
    ] = "all"
    simulate: Annotated[
        bool, Meta(description="Hand messages to the embedded simulated SMSC. Nothing reaches a real phone.")
    ] = False
    simulate_control_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="With `simulate`: port on 127.0.0.1 at which `cooee handset` finds the simulated phones; "
            "0 for none.",
        ),
    ] = 0
    node: Annotated[
        str,
        Meta(max_length=64, description="Name of this node in logs and leases. Empty: host name and process id."),
    ] = ""
    body_limit_mb: Annotated[
        int, Meta(ge=1, le=1024, description="Largest request body in MiB; larger ones are answered with -906.")
    ] = 64
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks (CIDR) of reverse proxies in front, such as `127.0.0.1` or "
            "`10.0.0.0/8`. From them, and from nobody else, `X-Forwarded-For` and `X-Forwarded-Proto` are "
            "believed: failed logins, the audit log and cookies then go by the client, not by the proxy.",
        ),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Origins whose pages may call the API from a browser, or `*` for all.")
    ] = ()
    error_http_status: Annotated[
        Literal[200, 400],
        Meta(description="HTTP status of requests that were understood and refused (a negative Code)."),
    ] = 200
    console: Annotated[bool, Meta(description="Serve the web console, beside the API on the same port.")] = True
    console_https: Annotated[
        bool,
        Meta(
            description="People reach the console over https, through a proxy in front: its cookies are then "
            "marked Secure. Leave it off for plain http, or nobody can sign in. Not needed where a trusted proxy "
            "says so (`trusted_proxies`).",
        ),
    ] = False
    session_idle_m: Annotated[
        int, Meta(ge=1, le=10_080, description="Minutes without a request after which the console signs out.")
    ] = 480
    session_h: Annotated[
        int, Meta(ge=1, le=2160, description="Hours after which the console signs out in any case.")
    ] = 168
    metrics: Annotated[bool, Meta(description="Serve `/metrics` in Prometheus' text form.")] = True
    log_format: Annotated[Literal["console", "json"], Meta(description="How log lines are written to stderr.")] = (
        "console"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important log line to write.")
    ] = "info"
    drain_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="At a stop, how long the API goes on answering while `/readyz` says 503 already, so that "
            "a load balancer takes the node out before it stops. 0 where there is none.",
        ),
    ] = 0.0
    stop_deadline_s: Annotated[
        float,
        Meta(ge=0, le=300, description="At a stop, how long to wait for answers to what is in flight."),
    ] = 10.0
    uncertain_wait_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="How long a late answer or receipt may settle an uncertain message before the carrier's "
            "`on_uncertain` decides. A carrier may have its own.",
        ),
    ] = 60.0
    max_age_h: Annotated[
        float,
        Meta(
            ge=0.01,
            le=720,
            description="How long after its first attempt a message is retried. A carrier may have its own.",
        ),
    ] = 24.0

    webhook_allow_private: Annotated[
        bool,
        Meta(
            description="Let reply webhooks lead to private, loopback and link-local addresses. Their URLs come "
            "from customers: without this, none can make Cooee call a service inside your network.",
        ),
    ] = False
    webhook_calls: Annotated[
        int,
        Meta(
            ge=8,
            le=4096,
            description="Calls of reply webhooks that a node has under way at once; each needs a file descriptor.",
        ),
    ] = 256

    reply_parts_wait_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86400,
            description="How long a long reply waits for all of its parts; then what has come is passed on.",
        ),
    ] = 600.0

    keep_messages_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36500,
            description="Days after its end that a campaign is kept with its text, its recipients and what became "
            "of them; at least 8, or 0: for ever.",
        ),
    ] = 400
    keep_replies_days: Annotated[
        int,
        Meta(ge=0, le=36500, description="Days that replies are kept which were passed on; 0: for ever."),
    ] = 400
    keep_receipts_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36500,
            description="Days that delivery receipts are kept as the carriers wrote them, to be shown with their "
            "message; not longer than `keep_messages_days`. 0: none are kept, and those that were are removed.",
        ),
    ] = 30
    keep_audit_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36500,
            description="Days that lines of the audit log are kept: who did what, when, from which address; 0: "
            "for ever.",
        ),
    ] = 1830

    signup: Annotated[
        Literal["off", "approval", "email"],
        Meta(
            description="Let strangers sign up for a trial on the page `/signup` of the console: an operator "
            "approves each, or each confirms by a link in a mail. `off`: there is no such page."
        ),
    ] = "off"
    signup_credits: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Credits of a trial, once for each e-mail address.")
    ] = 100
    signup_countries: Annotated[
        tuple[str, ...],
        Meta(
            description="Countries that a trial account may be of, and so may send to, as ISO codes. The first is "
            "what the form proposes."
        ),
    ] = ("AU",)
    signup_zone: Annotated[str, Meta(min_length=1, description="Time zone that the form proposes.")] = (
        "Australia/Sydney"
    )
    signup_senders: Annotated[
        tuple[str, ...],
        Meta(
            description="Sender IDs that every trial account may use at once; `any` for any valid one. Empty: "
            "none until an operator approves one for the account."
        ),
    ] = ()
    signup_per_address: Annotated[
        int, Meta(ge=1, le=100_000, description="Tries to sign up from one address within an hour.")
    ] = 10
    signup_per_hour: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Tries to sign up from anywhere within an hour.")
    ] = 60
    signup_per_day: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Sign-ups that are taken within a day.")
    ] = 200
    signup_wait_days: Annotated[
        int, Meta(ge=1, le=365, description="Days that a sign-up waits for an operator before it expires.")
    ] = 30
    signup_link_h: Annotated[
        int, Meta(ge=1, le=720, description="Hours that the link in a mail works after the mail went out.")
    ] = 24
    public_url: Annotated[
        str,
        Meta(
            description="Where people reach the console, such as `https://sms.example.com`: links in mails begin "
            "with it."
        ),
    ] = ""
    smtp_host: Annotated[str, Meta(description='Mail server that sends the mails of `signup = "email"`.')] = ""
    smtp_port: Annotated[int, Meta(ge=1, le=65535, description="Its port; 465 is usual with `tls`.")] = 587
    smtp_tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(
            description="How the connection to it is encrypted; its certificate must be good for its name. "
            "`none` sends in the clear, and takes no login but on loopback."
        ),
    ] = "starttls"
    smtp_user: Annotated[str, Meta(description="Login at the mail server; empty: none.")] = ""
    smtp_password: Annotated[
        str, Meta(description="Password of that login. In the environment or in a file that others cannot read.")
    ] = ""
    smtp_password_file: Annotated[
        str, Meta(description="File whose first line is that password, in the place of `smtp_password`.")
    ] = ""
    smtp_from: Annotated[str, Meta(description="E-mail address that mails come from.")] = ""
    smtp_timeout_s: Annotated[
        float, Meta(ge=1, le=300, description="How long to wait for each answer of the mail server.")
    ] = 20.0

    @property
    def node_name(self) -> str:
        """`node`, or host name and process id where it is empty."""
        return self.node or f"{socket.gethostname()}-{os.getpid()}"
