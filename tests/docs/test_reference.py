"""Whatever can be set, called, raised or measured is documented, and generated pages are current."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import click
import pytest
from prometheus_client.metrics import MetricWrapperBase

from cooee.cli.reference import cli_page, commands, with_tables
from cooee.config import Settings
from cooee.model import metrics
from cooee.model.carrier import SmppSettings
from cooee.model.clock import DAY, HOUR
from cooee.model.codetable import Source, parse_codes
from cooee.model.errors import TABLE, Code
from cooee.model.options import options
from cooee.service.codes import load_codes
from cooee.service.keeping import AUDIT, RECEIPTS, REFS, RULES, Keep
from cooee.smpp.smsc.config import SmscConfig
from cooee.smpp.smsc.control import ControlServer
from cooee.web import messagecodes, reference
from cooee.web.api import RESOURCES, Resource
from cooee.web.messagecodes import OWN_CODES
from tests.docs.support_docs import ROOT, read

WRAPPED = [found for found in vars(metrics).values() if isinstance(found, MetricWrapperBase)]
TALLIES = [found for found in vars(metrics).values() if isinstance(found, metrics.Tally)]
METRICS: dict[str, Sequence[str]] = {
    **{found._name + ("_total" if found._type == "counter" else ""): found._labelnames for found in WRAPPED},
    **{found.name: found.labels for found in TALLIES},
}


@pytest.mark.parametrize(
    ("name", "current"),
    [
        ("api.md", reference.page),
        ("cli.md", cli_page),
        ("message-codes.md", lambda: messagecodes.page(load_codes())),
        ("configuration.md", lambda: with_tables(read("configuration.md"))),
    ],
)
def test_generated_pages_are_current(name: str, current: Callable[[], str]) -> None:
    """If not: python -m cooee.web.reference docs/api.md; python -m cooee.cli.reference docs."""
    assert read(name) == current()


@pytest.mark.parametrize("name", options(Settings))
def test_every_setting_is_on_its_page(name: str) -> None:
    assert f"| `{name}` | `COOEE_{name.upper()}` |" in read("configuration.md")


@pytest.mark.parametrize("name", options(SmppSettings))
def test_every_carrier_setting_is_in_the_table_and_explained(name: str) -> None:
    assert f"| `{name}` |" in read("configuration.md").partition("made from the code: carrier settings")[2]
    assert re.search(rf"^- \*\*[^*]*`{name}`[^*]*\*\*", read("carriers.md"), re.MULTILINE), name


@pytest.mark.parametrize("path", dict(commands()))
def test_every_command_is_on_its_page(path: str) -> None:
    assert f"\n## {path}\n" in read("cli.md")


def test_every_option_of_the_simulated_smsc_is_explained() -> None:
    page = read("carriers.md")
    named = set(re.findall(r"`(--[a-z-]+)`", page))
    smsc = dict(commands())["cooee smsc"]
    flags = {param.opts[0] for param in smsc.params if isinstance(param, click.Option)} - {"--help"}
    assert flags <= named, flags - named
    fields = {"--" + name.replace("_", "-") for name in options(SmscConfig)}
    assert fields <= flags, fields - flags
    for row in re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE):
        assert set(re.findall(r"`(--[a-z-]+)`", row)) <= flags, row


def test_every_control_command_is_explained() -> None:
    answer = ControlServer(None).carry_out(b'{"do": "nonsense"}')  # type: ignore[arg-type]
    names = answer["error"].removeprefix("commands are ").split(", ")
    assert len(names) > 5
    for name in names:
        assert f'"do": "{name}"' in read("carriers.md"), name


@pytest.mark.parametrize("code", TABLE, ids=lambda code: str(code.code))
def test_every_code_is_on_the_page_of_the_api(code: Code) -> None:
    assert re.search(
        rf"^\| {code.code} \| {code.http} \| .+ \| {re.escape(code.when)}", read("api.md"), re.MULTILINE
    )


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_resource_and_action_is_on_the_page_of_the_api(resource: Resource) -> None:
    section = re.split(r"^## ", read("api.md"), flags=re.MULTILINE)
    found = [part for part in section if part.lower().startswith(f"post /api/{resource.name}\n")]
    assert len(found) == 1
    for action in resource.actions or ():
        assert f"\n### {action}\n" in found[0]
    assert (f"\n### GET /api/{resource.name}\n" in found[0]) == (resource.get is not None)


def test_a_resource_without_an_example_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "RESOURCES", (*RESOURCES, Resource("surprise")))
    with pytest.raises(LookupError):
        reference.page()
    more = {**(RESOURCES[0].actions or {}), "surprise": RESOURCES[0].actions["create"]}  # type: ignore[index]
    monkeypatch.setattr(reference, "RESOURCES", (Resource("campaign", actions=more),))
    with pytest.raises(LookupError):
        reference.page()


@pytest.mark.parametrize("source", Source)
def test_every_code_of_messages_is_on_its_page(source: Source) -> None:
    section = read("message-codes.md").partition(f" [{source.value}]\n")[2].partition("\n## ")[0]
    rows = load_codes().rows(source)
    assert rows
    for row in rows:
        assert f"| {row.code} | {row.name} | {row.lasts} |" in section


def test_the_example_of_codes_of_ones_own_can_be_read() -> None:
    assert len(parse_codes(OWN_CODES, "the page")) == 2
    assert OWN_CODES in read("message-codes.md")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_explained_with_its_labels(name: str) -> None:
    labels = ", ".join(f"`{label}`" for label in METRICS[name])
    assert f"| `{name}` | {labels} |".replace("|  |", "| |") in read("operations.md").replace("| – |", "| |")


def test_no_metric_is_explained_that_is_none() -> None:
    for name in re.findall(r"`(cooee_\w+)`", read("operations.md")):
        assert name in METRICS, name


def test_every_log_event_that_is_explained_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    section = read("operations.md").partition("\n## Logs")[2].partition("\n## ")[0]
    events = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert len(events) > 10
    for event in events:
        assert re.search(rf'log\.\w+\(\s*"{event}"', source), event


def test_every_reason_of_readyz_that_is_explained_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    section = read("operations.md").partition("`reasons` says")[2].partition("\n## ")[0]
    for words in (
        "the engine is starting",
        "the engine is stopping",
        ": there is no active carrier",
    ):
        assert words in section
        assert words in source
    assert "is not bound: " in section
    assert "is not bound: " in source


def test_what_is_kept_for_how_long_is_told() -> None:
    page = read("operations.md")
    for rule in (REFS, *RULES):
        amount = {HOUR: "1 hour", DAY: "24 hours"}.get(rule.keep_ms, f"{rule.keep_ms // DAY} days")
        assert re.search(rf"^\| `{rule.table}`: .* \| {amount}[ ,;:|]", page, re.MULTILINE), rule.table
    assert re.search(rf"^\| `{RECEIPTS.table}`: .* \| `keep_receipts_days`, 30 days", page, re.MULTILINE)
    days = AUDIT.keep_ms // DAY
    assert Settings().keep_audit_days == Keep().audit_days == days
    assert re.search(rf"^\| `{AUDIT.table}`: .* \| `keep_audit_days`, {days} days", page, re.MULTILINE)
