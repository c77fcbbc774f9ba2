"""Settings, parsed once and frozen: defaults < a TOML file < environment `COOEE_*` < flags.

Only the command line and the composition root read this; the rooms below get plain values. Every setting is a
field of `Settings`, and docs/configuration.md is made from it.
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cooee.model.errors import ConfigError
from cooee.model.options import options, unknown
from cooee.model.proxies import TrustedProxies

PREFIX = "COOEE_"
FILE_VARIABLE = "COOEE_CONFIG"
"""Environment variable that names the TOML file when `--config` does not."""


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

    @property
    def node_name(self) -> str:
        """`node`, or host name and process id where it is empty."""
        return self.node or f"{socket.gethostname()}-{os.getpid()}"


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
) -> Settings:
    """The settings of this process. ConfigError names what is wrong, where, and what is expected.

    `flags` hold values by setting; None means not given. `file` is what `--config` names; without it the
    environment may. `environ` defaults to the environment of the process.
    """
    known = options(Settings)
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {}
    path = file or environ.get(FILE_VARIABLE)
    if path:
        where = str(path)
        for name, value in _toml(Path(path)).items():
            if name not in known:
                raise unknown(name, known, "setting", where)
            values[name] = known[name].read(value, where)
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known or variable != variable.upper():
            raise unknown(variable, known, "setting", "the environment", PREFIX)
        values[name] = known[name].read_text(text, f"the environment ({variable})")
    for name, flag in (flags or {}).items():
        if flag is None:
            continue
        where = f"--{name.replace('_', '-')}"
        values[name] = (
            known[name].read_text(flag, where) if isinstance(flag, str) else known[name].read(flag, where)
        )
    settings = msgspec.convert(values, Settings)
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
    return settings


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is no valid TOML: {error}") from error
