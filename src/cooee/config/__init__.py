"""Settings, parsed once and frozen: defaults < a TOML file < environment `COOEE_*` < flags.

Only the command line and the composition root read this; the rooms below get plain values. docs/configuration.md
is made from the fields of `Settings`.
"""

from __future__ import annotations

from cooee.config.reading import FILE_VARIABLE, PREFIX, load
from cooee.config.settings import ANY, Settings

__all__ = ["ANY", "FILE_VARIABLE", "PREFIX", "Settings", "load"]
