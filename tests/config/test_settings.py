"""Settings from every source, their order, and what is said about wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.config import Settings, load
from cooee.model.errors import ConfigError
from cooee.model.options import options, text_of


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cooee.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_every_setting_has_its_default() -> None:
    assert load(environ={}) == Settings()
    assert load(environ={"PATH": "/bin", "HOME": "/root"}) == Settings()


def test_each_source_overrides_the_one_before(tmp_path: Path) -> None:
    path = file(tmp_path, 'host = "file"\nport = 1\nlog_level = "error"\nmax_age_h = 1\n')
    settings = load({"port": "3", "host": None}, {"COOEE_PORT": "2", "COOEE_LOG_LEVEL": "debug"}, path)
    assert (settings.host, settings.port, settings.log_level, settings.max_age_h) == ("file", 3, "debug", 1.0)
    assert settings.database == Settings().database


def test_the_file_may_be_named_by_the_environment_and_the_flag_wins(tmp_path: Path) -> None:
    path = file(tmp_path, "port = 1")
    other = tmp_path / "other.toml"
    other.write_text("port = 2")
    assert load(environ={"COOEE_CONFIG": str(path)}).port == 1
    assert load(environ={"COOEE_CONFIG": str(path)}, file=other).port == 2


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("COOEE_SIMULATE", "yes", True),
        ("COOEE_METRICS", "OFF", False),
        ("COOEE_CORS_ORIGINS", "https://a.example, https://b.example", ("https://a.example", "https://b.example")),
        ("COOEE_ERROR_HTTP_STATUS", "400", 400),
        ("COOEE_STOP_DEADLINE_S", "2.5", 2.5),
        ("COOEE_BODY_LIMIT_MB", "1", 1),
        ("COOEE_KEY_FILE", "/etc/cooee.key", "/etc/cooee.key"),
    ],
)
def test_the_environment_is_read_as_the_setting_is_typed(variable: str, text: str, value: object) -> None:
    settings = load(environ={variable: text})
    assert getattr(settings, variable.removeprefix("COOEE_").lower()) == value


@pytest.mark.parametrize(
    ("environ", "toml", "said"),
    [
        ({"COOEE_DATABSE": "x"}, "", "'COOEE_DATABSE' in the environment: did you mean COOEE_DATABASE?"),
        ({"COOEE_zzzz_qqqq": "x"}, "", "'COOEE_zzzz_qqqq' in the environment: known are COOEE_DATABASE, "),
        ({}, "prot = 1", "'prot' in {file}: did you mean port?"),
        ({}, "[server]\nport = 1", "unknown setting 'server' in {file}"),
        ({}, 'port = "8080"', "port in {file}: takes a whole number from 0 to 65535, not '8080'"),
        ({}, "port = 70000", "port in {file}: takes a whole number from 0 to 65535, not 70000"),
        ({}, "simulate = 1", "simulate in {file}: takes true or false, not 1"),
        ({}, "cors_origins = 'x'", "cors_origins in {file}: takes a list of texts"),
        ({}, "port =", "{file} is no valid TOML"),
        ({"COOEE_PORT": "many"}, "", "port in the environment (COOEE_PORT): takes a whole number"),
        ({"COOEE_ROLE": "both"}, "", "takes one of "),
        ({"COOEE_SIMULATE": "maybe"}, "", "takes true or false, not 'maybe'"),
        ({"COOEE_MAX_AGE_H": "nan"}, "", "takes a number from 0.01 to 720, not 'nan'"),
        ({"COOEE_HOST": ""}, "", "takes some text, not ''"),
        ({"COOEE_TRUSTED_PROXIES": "10.0.0.1/8"}, "", "did you mean 10.0.0.0/8?"),
        ({}, 'trusted_proxies = ["proxy"]', "trusted_proxies: 'proxy' is no network"),
        ({"COOEE_ROLE": "engine"}, "", "role engine needs a PostgreSQL database"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, environ: dict[str, str], toml: str, said: str
) -> None:
    path = file(tmp_path, toml) if toml else None
    with pytest.raises(ConfigError) as raised:
        load(environ=environ, file=path)
    assert said.format(file=path) in str(raised.value)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"settings file .*gone\.toml cannot be read: No such file"):
        load(environ={}, file=tmp_path / "gone.toml")


def test_roles_are_fine_on_a_shared_database() -> None:
    assert load({"role": "api"}, {"COOEE_DATABASE": "postgresql://h/d"}).role == "api"


def test_the_nodes_name_is_the_host_and_process_unless_given() -> None:
    assert re.fullmatch(r".+-\d+", Settings().node_name)
    assert Settings(node="left").node_name == "left"


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


@given(
    port=st.integers(0, 65535),
    simulate=st.booleans(),
    wait=st.floats(0, 86400).map(lambda number: round(number, 2)),
    status=st.sampled_from([200, 400]),
    origins=st.lists(st.from_regex(r"https://[a-z]{1,9}\.example", fullmatch=True), max_size=4).map(tuple),
)
def test_what_a_setting_is_written_as_is_read_back(
    port: int, simulate: bool, wait: float, status: int, origins: tuple[str, ...]
) -> None:
    values = {"port": port, "simulate": simulate, "error_http_status": status, "cors_origins": origins}
    read = load(environ={f"COOEE_{name.upper()}": text_of(value) for name, value in values.items()})
    assert {name: getattr(read, name) for name in values} == values
    assert load(environ={"COOEE_UNCERTAIN_WAIT_S": f"{wait}"}).uncertain_wait_s == wait


def test_every_setting_is_documented() -> None:
    page = Path("docs/configuration.md").read_text(encoding="utf-8")
    for name, option in options(Settings).items():
        assert option.description.endswith("."), name
        assert f"| `{name}` | `COOEE_{name.upper()}` |" in page
    assert set(options(Settings)) == {field.name for field in msgspec.structs.fields(Settings)}


MAIL = {
    "signup": "email",
    "smtp_host": "mail.example.com",
    "smtp_from": "trial@example.com",
    "public_url": "https://sms.example.com",
}
"""The least that sign-ups by mail need."""


@pytest.mark.parametrize(
    "fields",
    [
        {"signup": "approval"},
        MAIL,
        {**MAIL, "public_url": "http://127.0.0.1:8080/"},
        {**MAIL, "smtp_user": "cooee", "smtp_password": "secret word"},
        {**MAIL, "smtp_tls": "none", "smtp_host": "127.0.0.1", "smtp_user": "cooee", "smtp_password": "x"},
        {"signup": "email", "role": "api", "database": "postgresql://db/cooee"},
        {"signup": "approval", "signup_senders": "any"},
        {"signup": "approval", "signup_senders": "CLINIC, 61400190499", "signup_countries": "au,NZ"},
    ],
)
def test_sign_up_settings_that_fit(fields: dict[str, str]) -> None:
    assert load(fields, environ={}).signup == fields["signup"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"signup": "open"}, "one of approval, email, off"),
        ({"signup": "approval", "console": "false"}, "signup needs the console"),
        ({"signup": "approval", "signup_countries": ""}, "signup_countries is empty"),
        ({"signup": "approval", "signup_countries": "AU,XX"}, "signup_countries"),
        ({"signup": "approval", "signup_zone": "Mars/Base"}, "is no time zone"),
        ({"signup": "approval", "signup_senders": "much too long a name"}, "can be no sender ID"),
        ({"signup": "approval", "signup_senders": "any,CLINIC"}, "any stands alone"),
        ({**MAIL, "smtp_host": ""}, "smtp_host must be set"),
        ({**MAIL, "smtp_from": ""}, "smtp_from must be set"),
        ({**MAIL, "smtp_from": "Cooee <trial@example.com>"}, "smtp_from: that is no e-mail address"),
        ({**MAIL, "public_url": ""}, "public_url must be set"),
        ({**MAIL, "public_url": "sms.example.com"}, "public_url is"),
        ({**MAIL, "public_url": "ftp://sms.example.com"}, "public_url is"),
        ({**MAIL, "public_url": "https://"}, "public_url is"),
        ({**MAIL, "public_url": "https://sms.example.com/?x=1"}, "public_url is"),
        ({**MAIL, "public_url": "https://kim@sms.example.com"}, "public_url is"),
        ({**MAIL, "public_url": "https://sms.example.com:x"}, "public_url is"),
        ({**MAIL, "public_url": "https://sms.example.com/console"}, "public_url is"),
        ({**MAIL, "smtp_user": "cooee"}, "smtp_user needs smtp_password"),
        ({**MAIL, "smtp_user": "cooee", "smtp_password": "gehe\u00efm"}, "smtp_password holds a character"),
        ({**MAIL, "smtp_password": "secret word"}, "smtp_user needs smtp_password"),
        ({"smtp_password": "secret word", "smtp_password_file": "/x"}, "both set"),
        (
            {**MAIL, "smtp_tls": "none", "smtp_user": "cooee", "smtp_password": "secret word"},
            "would go over the network in the clear",
        ),
    ],
)
def test_sign_up_settings_that_cannot_work(fields: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as told:
        load(fields, environ={})
    assert "secret word" not in str(told.value)


def test_a_password_is_in_no_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="smtp_password") as told:
        load(environ={}, file=file(tmp_path, "smtp_password = 31415926\n"))
    assert "31415926" not in str(told.value)
