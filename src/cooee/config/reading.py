"""Reading the settings of a process: defaults < a TOML file < environment `COOEE_*` < flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cooee.config.checks import check
from cooee.config.settings import Settings
from cooee.model.errors import ConfigError
from cooee.model.options import options, unknown

PREFIX = "COOEE_"
FILE_VARIABLE = "COOEE_CONFIG"
"""Environment variable that names the TOML file when `--config` does not."""


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
    check(settings)
    return settings


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is no valid TOML: {error}") from error
