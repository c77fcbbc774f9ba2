"""The table of message codes: shipped, overridden, wrong; and as the dispatcher judges."""

from __future__ import annotations

import asyncio
import fnmatch
import tomllib
from pathlib import Path

import pytest

import cooee
from cooee.app.node import Node
from cooee.carriers.smpp import SmppCarrier
from cooee.config import Settings
from cooee.model.clock import SystemClock
from cooee.model.codetable import CodeName, CodeTable, Source, parse_codes, source_of
from cooee.model.errors import ConfigError
from cooee.model.message import GAVE_UP, UNREADABLE
from cooee.service.codes import MAX_FILE, SHIPPED, load_codes
from cooee.smpp.codes import CommandStatus
from cooee.web.messagecodes import OWN_CODES
from tests.carriers.support_events import row

CODES = load_codes()


def test_the_published_code_has_its_published_name() -> None:
    assert CODES.find(300, Source.RECEIPT) == CodeName(300, "Invalid destination", True)
    assert CODES.words(300, Source.RECEIPT) == "300: Invalid destination (permanent)"


def test_our_own_codes_have_names_whoever_said_them() -> None:
    for code in (GAVE_UP, UNREADABLE):
        names = {CODES.find(code, source) for source in Source}
        assert len(names) == 1
        assert None not in names


def test_the_cimd2_family_and_the_errors_of_map_are_there() -> None:
    for code in (*range(300, 307), 321, 322, 1, 6, 11, 13, 27, 31, 32, 34):
        assert CODES.find(code, Source.RECEIPT) is not None, code


def test_a_number_means_what_the_one_means_who_said_it() -> None:
    assert CODES.words(11, Source.SUBMIT) != CODES.words(11, Source.RECEIPT)
    assert (source_of(0), source_of(2)) == (Source.SUBMIT, Source.RECEIPT)
    assert CODES.words(4711, Source.RECEIPT) == "4711"
    assert CODES.find(300, Source.SUBMIT) is None


@pytest.mark.parametrize("status", [status for status in CommandStatus if status], ids=lambda status: status.name)
def test_people_are_told_what_the_dispatcher_does(status: CommandStatus) -> None:
    """Temporary is what is tried again; every status of the standard has a name."""
    found = CODES.find(int(status), Source.SUBMIT)
    assert found is not None
    assert found.permanent is not SmppCarrier(row(), SystemClock()).judge(int(status)).retry


def test_submit_has_no_status_that_the_standard_does_not_have() -> None:
    assert {name.code for name in CODES.rows(Source.SUBMIT)} == {int(status) for status in CommandStatus if status}


def test_an_operators_file_changes_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "codes.toml"
    file.write_text(OWN_CODES, encoding="utf-8")
    merged = load_codes(str(file))
    assert merged.words(4711, Source.RECEIPT) == "4711: Prepaid card is used up (permanent)"
    assert merged.words(6, Source.RECEIPT) == "6: Phone is switched off (temporary)"
    assert merged.words(6, Source.SUBMIT) == CODES.words(6, Source.SUBMIT)
    assert (merged.own, len(merged)) == (2, len(CODES) + 1)
    assert [name.code for name in merged.rows(Source.RECEIPT)][-1] == 4711


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[receipt", "codes file F is no valid TOML: "),
        ("[reciept]\n", "unknown section [reciept] in codes file F: did you mean [receipt]?"),
        ("[x]\n", "unknown section [x] in codes file F: sections are [cooee], [submit], [receipt]"),
        ("receipt = 3", "receipt in codes file F: must be a section, [receipt]"),
        (
            "[submit]\nten = {permanent = 'x'}",
            "ten in [submit] of codes file F: a code is a whole number from 1",
        ),
        ("[submit]\n0 = {permanent = 'x'}", "0 in [submit] of codes file F: a code is a whole number from 1 to"),
        ("[submit]\n1234567890 = {permanent = 'x'}", "a code is a whole number from 1 to 999999999"),
        ("[submit]\n'²' = {permanent = 'x'}", "a code is a whole number from 1 to 999999999"),
        ("[submit]\n-4 = {permanent = 'x'}", "a code is a whole number from 1 to 999999999"),
        ("[submit]\n1 = {permanent = 'x'}\n01 = {permanent = 'y'}", "01 in [submit] of codes file F: 1 is there"),
        ("[submit]\n1 = 'x'", '1 in [submit] of codes file F: takes { permanent = "name" } or'),
        ("[submit]\n1 = {}", "takes { permanent"),
        ("[submit]\n1 = {forever = 'x'}", "takes { permanent"),
        ("[submit]\n1 = {permanent = 'x', temporary = 'x'}", "takes { permanent"),
        ("[submit]\n1 = {permanent = 3}", "a name is 1 to 120 printable characters"),
        ("[submit]\n1 = {permanent = ' '}", "a name is 1 to 120 printable characters"),
        ('[submit]\n1 = {permanent = "a\\nb"}', "a name is 1 to 120 printable characters"),
        (f"[submit]\n1 = {{permanent = '{'x' * 121}'}}", "a name is 1 to 120 printable characters"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_codes(text, "F")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"codes file .*nowhere.* cannot be read: No such file"):
        load_codes(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_codes(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_codes("a\0b")
    file = tmp_path / "codes.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not valid UTF-8"):
        load_codes(str(file))
    file.write_bytes(b"#" * (MAX_FILE + 1))
    with pytest.raises(ConfigError, match="is larger than 1024 KiB"):
        load_codes(str(file))


def test_a_server_with_a_wrong_file_does_not_start(tmp_path: Path) -> None:
    async def main() -> None:
        database = tmp_path / "cooee.db"
        with pytest.raises(ConfigError, match="codes file"):
            await Node(Settings(database=f"sqlite:///{database}", codes_file=str(tmp_path / "no"), port=0)).start()
        assert not database.exists()

    asyncio.run(main())


def test_an_empty_table_knows_nothing() -> None:
    assert CodeTable().words(300, Source.RECEIPT) == "300"
    assert CodeTable().rows(Source.RECEIPT) == []


def test_every_data_file_of_the_package_is_shipped() -> None:
    package = Path(cooee.__file__).parent
    assert (package / SHIPPED).is_file()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["cooee"]
    for path in package.rglob("*"):
        name = path.relative_to(package).as_posix()
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
