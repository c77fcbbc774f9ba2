"""Settings of carriers as text, as they are stored, and as they are used."""

from __future__ import annotations

import pytest

from cooee.model.carrier import SmppSettings, read_settings, smpp_settings
from cooee.model.errors import ConfigError
from cooee.model.options import options

LOGIN = {"host": "smpp.example", "system_id": "acme"}


def test_only_what_was_set_is_stored_and_the_rest_has_defaults() -> None:
    stored = read_settings("smpp", {**LOGIN, "tps": "50", "tls": "yes", "codes": '{"4C": 301}'}, {})
    assert stored == {**LOGIN, "tps": 50, "tls": True, "codes": {"4C": 301}}
    typed = smpp_settings(stored)
    assert (typed.tps, typed.tls, typed.window, typed.binds, typed.port) == (50, True, 10, 1, 2775)
    assert typed.codes == {"4C": 301}
    assert typed.max_age_h is None


def test_an_empty_value_takes_a_setting_back() -> None:
    before = {**LOGIN, "tps": 50, "max_age_h": 2.0, "window": 5}
    stored = read_settings("smpp", {"tps": "", "max_age_h": ""}, before)
    assert stored == {**LOGIN, "window": 5}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "h"}, "needs system_id: give --set system_id="),
        ({}, "needs host and system_id"),
        ({**LOGIN, "widow": "5"}, "unknown setting 'widow' in a carrier of kind smpp: did you mean window?"),
        (
            {**LOGIN, "window": "0"},
            "window in a carrier of kind smpp: takes a whole number from 1 to 10000",
        ),
        ({**LOGIN, "tps": "1.5"}, "takes a whole number from 0 to 1000000, not '1.5'"),
        ({**LOGIN, "bind_type": "rx"}, "bind_type in a carrier of kind smpp: takes one of"),
        ({**LOGIN, "system_id": "sixteen letters!"}, "takes text of 1 to 15 ASCII characters"),
        ({**LOGIN, "system_id": "ünï"}, "takes text of 1 to 15 ASCII characters"),
        ({**LOGIN, "codes": "[1]"}, "takes a JSON object of whole numbers"),
        ({**LOGIN, "codes": '{"1": "x"}'}, "takes a JSON object of whole numbers"),
        ({**LOGIN, "codes": '{"1": 0}'}, "0 is no code"),
        ({**LOGIN, "host": " "}, "needs host"),
    ],
)
def test_wrong_settings_are_refused_with_what_they_take(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_settings("smpp", given, {})
    assert said in str(raised.value)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="'pigeon' is no kind of carrier; use smpp"):
        read_settings("pigeon", LOGIN, {})


def test_an_older_program_leaves_newer_settings_alone() -> None:
    """A rolling upgrade: the row may hold a setting that this program does not know."""
    assert smpp_settings({**LOGIN, "from_the_future": 1}).host == "smpp.example"


def test_every_setting_says_what_it_is_for() -> None:
    for name, option in options(SmppSettings).items():
        assert option.description.endswith("."), name
