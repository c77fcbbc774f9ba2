"""Every command explains itself, and the reference pages are current."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cooee.cli import COMMANDS, main
from cooee.cli.reference import cli_page, commands, help_of, with_tables
from cooee.service.codes import load_codes
from cooee.web import messagecodes

EVERY = dict(commands())


def test_the_commands_are_those_that_were_asked_for() -> None:
    asked = """serve migrate check demo smsc send pause
        signup signup.list signup.approve signup.refuse
        account account.add account.set account.show account.list account.suspend account.unsuspend
        account.credit account.password
        operator operator.add operator.remove operator.password operator.list
        originator originator.add originator.remove originator.list rate rate.set rate.remove rate.list
        carrier carrier.add carrier.set carrier.list carrier.remove carrier.check carrier.pause carrier.resume
        campaign campaign.list campaign.show campaign.pause campaign.unpause campaign.delete
        credits credits.report
        message message.show uncertain uncertain.list uncertain.resend uncertain.fail
        number number.add number.remove number.list keyword keyword.add keyword.remove keyword.list keyword.account
        reply reply.list reply.unrouted reply.assign reply.delete reply.recover
        handset handset.reply handset.inbox
        optout optout.add optout.remove optout.import optout.list
        retention retention.run
        webhook webhook.show webhook.deliveries webhook.parked webhook.replay webhook.test"""
    assert set(EVERY) == {"cooee " + name.replace(".", " ") for name in asked.split()}


@pytest.mark.parametrize("path", EVERY)
def test_every_command_has_help_with_an_example_of_itself(path: str) -> None:
    text = help_of(path, EVERY[path])
    assert re.search(rf"Examples?:\n(.*\n)*.*{path}\b", text), text
    for parameter in EVERY[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name}"


def test_commands_that_print_data_print_json_too() -> None:
    with_json = {path for path, command in EVERY.items() if any(p.name == "as_json" for p in command.params)}
    assert with_json == {
        "cooee account list", "cooee account show", "cooee campaign list", "cooee campaign show",
        "cooee carrier check", "cooee carrier list", "cooee check", "cooee message show", "cooee send",
        "cooee credits report", "cooee operator list", "cooee signup list",
        "cooee originator list", "cooee rate list",
        "cooee uncertain list",
        "cooee number list", "cooee keyword list", "cooee keyword account",
        "cooee reply list", "cooee reply unrouted", "cooee handset inbox", "cooee optout list",
        "cooee webhook show", "cooee webhook deliveries", "cooee webhook parked", "cooee retention run",
    }  # fmt: skip


def test_no_command_takes_a_password_on_its_command_line() -> None:
    for path, command in EVERY.items():
        for parameter in command.params:
            if "password" in (parameter.name or ""):
                assert parameter.name in ("password_stdin", "webhook_password_stdin"), path
                assert isinstance(parameter, click.Option)
                assert parameter.is_flag, path


def test_the_overview_lists_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", result.output, re.MULTILINE)


def test_the_reference_pages_are_current() -> None:
    """If not: python -m cooee.cli.reference docs."""
    assert Path("docs/cli.md").read_text(encoding="utf-8") == cli_page()
    assert Path("docs/message-codes.md").read_text(encoding="utf-8") == messagecodes.page(load_codes())
    page = Path("docs/configuration.md").read_text(encoding="utf-8")
    assert with_tables(page) == page


def test_a_configuration_page_without_its_marks_is_noticed() -> None:
    with pytest.raises(ValueError, match="lacks <!-- made from the code: settings -->"):
        with_tables("# Configuration\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["account"],
        ["account", "show"],
        ["campaign", "show", "x"],
        ["serve", "--nonsense"],
        ["pause"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
