"""How a carrier stands, from the database and from the engine of this process; and its settings as a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import inspect

from cooee.model.carrier import CarrierRow, CarrierState, kind_of
from cooee.model.live import CarrierLive, EngineLive
from cooee.model.options import Option, options, text_of
from cooee.service.carriers import QUEUED_BATCHES, CarrierFigures, Standing
from cooee.web.console.visit import Visit


@dataclass(frozen=True, slots=True)
class BindView:
    """One bind. `up` is None where another process holds it, or nobody; `words` say who, and why."""

    no: int
    up: bool | None
    words: str
    used: int
    window: int


@dataclass(frozen=True, slots=True)
class CarrierView:
    """A carrier as its page shows it. `here`: this process's engine has binds of it, and `live` its figures."""

    row: CarrierRow
    live: CarrierLive | None
    binds: Sequence[BindView]
    orphans: int
    figures: CarrierFigures
    engine: str

    @property
    def here(self) -> bool:
        """Whether live figures are at hand."""
        return self.live is not None and bool(self.live.binds)

    @property
    def up(self) -> int:
        """Binds that are up, as far as this process knows."""
        return sum(bind.up is True for bind in self.binds)

    @property
    def used(self) -> int:
        """Segments that wait for an answer."""
        return sum(bind.used for bind in self.binds)

    @property
    def window(self) -> int:
        """Segments that may wait for an answer, over the binds of this process."""
        return sum(bind.window for bind in self.binds)

    @property
    def much_waits(self) -> bool:
        """More waits than was counted."""
        return self.figures.batches >= QUEUED_BATCHES

    @property
    def paused(self) -> bool:
        """Whether it is given nothing to send."""
        return self.row.state is CarrierState.PAUSED


async def views(visit: Visit, rows: Sequence[CarrierRow]) -> list[CarrierView]:
    """How these carriers stand now."""
    desk = visit.services.desk
    standing = await desk.carriers.standing(rows)
    engine = desk.live()
    return [_view(row, standing, engine) for row in rows]


def _view(row: CarrierRow, standing: Standing, engine: EngineLive | None) -> CarrierView:
    live = engine.carriers.get(row.id) if engine is not None else None
    own = {bind.no: bind for bind in live.binds} if live is not None else {}
    holders = standing.holders.get(row.id, {})
    binds = []
    for no in sorted({*range(row.binds), *holders, *own}):
        if no in own:
            bind = own[no]
            binds.append(BindView(no, bind.up, bind.reason, bind.used, bind.window))
        elif no in holders:
            name = standing.engines.get(holders[no], "")
            who = f"engine {name} ({holders[no]})" if name else f"engine {holders[no]}, which is gone"
            binds.append(BindView(no, None, f"held by {who}", 0, 0))
        else:
            binds.append(BindView(no, None, "nobody holds it yet", 0, 0))
    name = standing.engines.get(engine.id, "") if engine is not None else ""
    return CarrierView(
        row, live, binds, standing.orphans.get(row.id, 0), standing.figures[row.id], f"{name} ({engine.id})"
        if engine is not None
        else "",
    )  # fmt: skip


# --- settings as a form ------------------------------------------------------------------------------------

GROUPS = (
    ("Connection", ("host", "port", "system_id", "system_type", "bind_type", "tls")),
    ("Pace", ("tps", "window", "binds", "enquire_link_s", "response_timeout_s")),
    ("Doubt and retries", ("on_uncertain", "uncertain_wait_s", "max_age_h", "validity")),
)
REST = "More"


@dataclass(frozen=True, slots=True)
class Field:
    """A setting as a form has it. `choices` where it is one of few; `value` "" stands for the default."""

    option: Option
    value: str
    choices: tuple[str, ...]

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.option.default is None


def fields_of(kind: str, values: Mapping[str, object]) -> list[tuple[str, list[Field]]]:
    """Every setting of that kind of carrier, by group; a setting that no group names is in the last one."""
    known = {name: Field(option, text_of(values.get(name)), _choices(option)) for name, option in
             options(kind_of(kind)).items()}  # fmt: skip
    grouped = [(title, [known.pop(name) for name in names if name in known]) for title, names in GROUPS]
    return [*grouped, (REST, list(known.values()))]


def _choices(option: Option) -> tuple[str, ...]:
    match option.type:
        case inspect.BoolType():
            return ("true", "false")
        case inspect.LiteralType():
            return tuple(str(value) for value in option.type.values)
        case _:
            return ()


def read_fields(visit: Visit, kind: str) -> dict[str, str]:
    """What was typed, by setting."""
    return {name: visit.text(name).strip()[:4000] for name in options(kind_of(kind))}
