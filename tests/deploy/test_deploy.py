"""The files under deploy/: what they call exists, what they set can be set, and they stop no node too early."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cooee import config
from cooee.cli import HELP, main
from tests.docs.support_docs import DOCS, ROOT, blocks

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
HTTP_STOP_S = 3.0
HARDENED = {
    "NoNewPrivileges": "true", "ProtectSystem": "strict", "ProtectHome": "true", "PrivateTmp": "true",
    "PrivateDevices": "true", "CapabilityBoundingSet": "", "MemoryDenyWriteExecute": "true",
    "SystemCallArchitectures": "native",
}  # fmt: skip
STOPS = re.compile(r"(\d+)s?")


def check_command(words: list[str]) -> None:
    """Lets click read it; UsageError for what it would refuse."""
    context = click.Context(main, info_name="cooee", help_option_names=HELP)
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0]) if rest else None
        if found is None:
            raise click.UsageError(f"no command {rest}")
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    command.make_context(command.name, rest, parent=context.parent)


def settings_of(environ: dict[str, str], words: list[str]) -> config.Settings:
    """The settings that this environment and these flags make."""
    flags: dict[str, object] = {}
    if "--role" in words:
        flags["role"] = words[words.index("--role") + 1]
    return config.load(flags, {k: v for k, v in environ.items() if k != config.FILE_VARIABLE})


def longest_stop(settings: config.Settings) -> float:
    """How long an orderly stop may take, in seconds."""
    return settings.drain_s + settings.stop_deadline_s + HTTP_STOP_S


def unit(path: Path) -> dict[str, list[str]]:
    """The directives of a unit file, with all of their values."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif line and not line.startswith("#"):
            assert section, f"{path.name}: {line}"
            name, equals, value = line.partition("=")
            assert equals, f"{path.name}: {line}"
            found[name].append(value)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_what_exists_and_wait_for_its_end(path: Path) -> None:
    lines = unit(path)
    (start,) = lines["ExecStart"]
    program, *words = shlex.split(start)
    assert program.endswith("/.venv/bin/cooee")
    check_command(words)
    environ = dict(entry.split("=", 1) for entry in lines["Environment"])
    assert environ.pop(config.FILE_VARIABLE) == "/etc/cooee/cooee.toml"
    if "EnvironmentFile" in lines:
        said = re.search(r"^# (COOEE_\w+)=(\S+),", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert said is not None
        environ[said[1]] = said[2]
    settings = settings_of(environ, words)
    assert int(lines["TimeoutStopSec"][0]) > longest_stop(settings) + 5
    assert lines["Restart"] == ["on-failure"]
    for name, value in HARDENED.items():
        assert lines[name] == [value], name
    assert "@system-service" in lines["SystemCallFilter"]
    # What it writes is in its state folder, nowhere else.
    assert lines["StateDirectory"] == ["cooee"]
    assert lines["WorkingDirectory"] == ["/var/lib/cooee"]
    assert settings.key_file in ("", "/var/lib/cooee/cooee.key")
    # A library that tries what is forbidden gets an error; without this the process would be killed.
    assert lines["SystemCallErrorNumber"] == ["EPERM"]


def test_the_settings_of_the_service_keep_all_in_its_state_folder() -> None:
    path = DEPLOY / "cooee.toml"
    settings = config.load({}, {config.FILE_VARIABLE: str(path)})
    assert settings.database == "sqlite:////var/lib/cooee/cooee.db"
    printed = [block.text for block in blocks(DOCS / "install.md") if block.language == "toml"]
    assert [tomllib.loads(text) for text in printed] == [tomllib.loads(path.read_text(encoding="utf-8"))]


def test_the_page_installs_what_is_there() -> None:
    text = (DOCS / "install.md").read_text(encoding="utf-8")
    sources = re.findall(r"/opt/cooee/(deploy/\S+)", text)
    assert len(sources) == 2
    for source in sources:
        assert (ROOT / source).is_file(), source
    (start,) = unit(DEPLOY / "systemd" / "cooee.service")["ExecStart"]
    for program in re.findall(r"(\S+/bin/cooee) ", text + (DOCS / "scaling.md").read_text(encoding="utf-8")):
        if program.startswith("/"):
            assert program == start.split()[0]
    assert f"--home-dir {unit(DEPLOY / 'systemd' / 'cooee.service')['WorkingDirectory'][0]} " in text


def test_there_is_a_unit_for_each_role() -> None:
    assert [path.name for path in UNITS] == ["cooee-api.service", "cooee-engine.service", "cooee.service"]
    for path in UNITS[:2]:
        (start,) = unit(path)["ExecStart"]
        assert start.endswith(f"serve --role {path.stem.removeprefix('cooee-')}")


def container() -> list[tuple[str, str]]:
    """The instructions of the container file."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = [line.split(" ", 1) for line in text.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, rest in pairs]


def test_the_container_is_made_of_what_is_there() -> None:
    steps = container()
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_through[0] == "*"
    for rest in (rest for word, rest in steps if word == "COPY" and not rest.startswith("--from")):
        *sources, _ = rest.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in let_through, source
    for rest in (rest for word, rest in steps if word == "FROM"):
        found = re.match(r"docker\.io/library/python:3\.(\d+)-slim", rest)
        assert found is not None
        assert int(found[1]) >= 11
    (run,) = [rest for word, rest in steps if word == "RUN" and "requirements" in rest]
    assert "--require-hashes -r requirements/run.txt" in run
    (variables,) = [rest for word, rest in steps if word == "ENV"]
    environ = dict(entry.split("=", 1) for entry in variables.split())
    settings = settings_of({k: v for k, v in environ.items() if k.startswith("COOEE_")}, [])
    assert ("EXPOSE", str(settings.port)) in steps
    assert tuple(steps[-2:]) == (("ENTRYPOINT", '["cooee"]'), ("CMD", '["serve"]'))
    assert ("USER", "cooee") in steps
    (health,) = [rest for word, rest in steps if word == "HEALTHCHECK"]
    assert f"http://127.0.0.1:{settings.port}/healthz" in health


def compose() -> dict[str, Any]:
    """The compose file, read."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


NODES = ("api-1", "api-2", "engine-1", "engine-2")


def test_the_compose_file_calls_what_exists() -> None:
    whole = compose()
    services = whole["services"]
    assert tuple(services) == ("postgres", *NODES)
    build = services["api-1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Containerfile"
    for name in NODES:
        service = services[name]
        # One image for all of them, which nobody can have put on a registry.
        assert service["image"] == "localhost/cooee"
        check_command(service["command"])
        assert service["command"] == ["serve", "--role", name.partition("-")[0]]
        environ = {key: str(value) for key, value in service["environment"].items()}
        assert set(environ) <= {config.PREFIX + one.upper() for one in config.Settings.__struct_fields__}
        settings = settings_of(
            environ | {"COOEE_DATABASE": "postgresql://cooee:x@postgres/cooee"}, service["command"]
        )
        assert int(STOPS.fullmatch(service["stop_grace_period"])[1]) > longest_stop(settings) + 5  # type: ignore[index]
        for volume in service["volumes"]:
            assert volume.split(":")[0] in whole["volumes"]
            assert ("VOLUME", volume.split(":")[1]) in container()
        # podman-compose starts no chain of dependencies in which a container has ended.
        assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert len({str(services[name]["environment"]) for name in NODES[:2]}) == 1
    # The server that makes the database listens on its socket alone; healthy is who answers over TCP.
    assert " -h 127.0.0.1 " in services["postgres"]["healthcheck"]["test"][1]


def test_the_compose_file_has_ports_and_connections_enough() -> None:
    services = compose()["services"]
    exposed = next(rest for word, rest in container() if word == "EXPOSE")
    taken = [port for name in NODES for port in services[name].get("ports", [])]
    # podman takes no range of ports for one.
    assert taken == [f"127.0.0.1:{port}:{exposed}" for port in (8080, 8081)]
    most = int(services["postgres"]["command"][-1].partition("=")[2])
    assert len(NODES) * (config.Settings().pool_size + 1) * 2 < most


def test_commands_in_the_comments_exist() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    found = re.findall(r"exec (\S+) cooee (.+)$", text, re.MULTILINE)
    assert found
    for service, line in found:
        assert service in NODES
        check_command(shlex.split(line))
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    (build,) = re.findall(r"^#   podman build (.+)$", text, re.MULTILINE)
    assert build == "--format docker -f deploy/Containerfile -t cooee ."


def test_the_password_of_the_compose_file_is_not_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_a_wrong_command_is_noticed() -> None:
    for words in (["serve", "--nonsense"], ["nonsense"], []):
        with pytest.raises(click.UsageError):
            check_command(words)
