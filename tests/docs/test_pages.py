"""Links lead somewhere, examples can be typed in, and files that are named exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from cooee import config
from cooee.cli import HELP, main
from cooee.model.carrier import read_settings
from cooee.model.errors import ConfigError
from tests.docs.support_docs import DOCS, PAGES, ROOT, anchors, blocks, commands, label, links, prose

MODULES = sorted((ROOT / "src" / "cooee").rglob("*.py"))
SHELL = [
    block for page in PAGES if page.name != "cli.md" for block in blocks(page) if block.language in ("", "sh")
]
EXAMPLES = [(block.page, words) for block in SHELL for words in commands(block.text)]
INLINE = [
    (page, words)
    for page in PAGES
    for text in re.findall(r"`(cooee [^`]+)`", prose(page).replace("\n", " "))
    for words in commands(re.sub(r"\s+", " ", text))
]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{label(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{label(page)}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    assert set(PAGES) <= seen, set(PAGES) - seen


def _check_command(words: list[str]) -> None:
    """Walks down the commands and lets click read what is left; UsageError for what it would refuse."""
    context = click.Context(main, info_name="cooee", help_option_names=HELP)
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            raise click.UsageError(f"no command {rest[0]}")
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    if rest in (["--version"], ["--help"]):
        return
    if isinstance(command, click.Group):
        raise click.UsageError("a group is no command")
    made = command.make_context(command.name, rest, parent=context.parent)
    kind = made.params.get("kind")
    if kind is not None and "changes" in made.params:
        read_settings(kind, made.params["changes"], {})


@pytest.mark.parametrize(
    ("page", "words"), EXAMPLES, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else value.name
)
def test_examples_are_commands_that_exist(page: Path, words: list[str]) -> None:
    _check_command(words)


def test_there_are_examples_of_most_commands() -> None:
    used = {" ".join(words[:2]) for _, words in EXAMPLES}
    assert {"serve", "account add", "carrier add", "uncertain list", "check", "smsc --port"} <= used | {
        words[0] for _, words in EXAMPLES
    }


def test_commands_in_the_text_exist() -> None:
    assert len(INLINE) > 20
    for page, words in INLINE:
        context = click.Context(main, info_name="cooee", help_option_names=HELP)
        command: click.Command = main
        for word in words:
            if not isinstance(command, click.Group) or not re.fullmatch("[a-z]+", word):
                break
            found = command.get_command(context, word)
            assert found is not None, f"{label(page)}: cooee {' '.join(words)}"
            command = found
        known = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
        for word in words:
            if word.startswith("--"):
                assert word in {*known, "--version", "--help"}, f"{label(page)}: cooee {' '.join(words)}"


@pytest.mark.parametrize("words", [["nonsense"], ["serve", "--nonsense"], ["carrier"], ["campaign", "pause"],
                                   ["carrier", "add", "x", "--kind", "smpp", "--set", "hots=1"]])  # fmt: skip
def test_a_wrong_example_is_noticed(words: list[str]) -> None:
    with pytest.raises((click.ClickException, ConfigError)):
        _check_command(words)


def test_configuration_files_in_the_pages_can_be_read(tmp_path: Path) -> None:
    found = [block for page in PAGES for block in blocks(page) if block.language == "toml"]
    assert found
    for number, block in enumerate(found):
        file = tmp_path / f"{number}.toml"
        file.write_text(block.text, encoding="utf-8")
        config.load({}, file=str(file), environ={})


def test_environment_variables_in_the_pages_exist() -> None:
    known = {config.PREFIX + name.upper() for name in config.Settings.__struct_fields__} | {config.FILE_VARIABLE}
    for module in (ROOT / "tests").rglob("*.py"):
        known |= set(re.findall(r'os\.environ\.pop\("(COOEE_[A-Z_]+)"', module.read_text(encoding="utf-8")))
    for page in PAGES:
        for name in re.findall(r"\bCOOEE_[A-Z_]+\b", page.read_text(encoding="utf-8")):
            assert name in known, f"{label(page)}: {name}"


def test_make_targets_in_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"(?:`|^)make ([a-z./]+)", text, re.MULTILINE):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{label(page)}: make {target}"


def test_the_readme_begins_with_its_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("  ")[0] for line in lines[:6]][3:5] == ["make run", "make test"]


def test_pages_that_comments_name_exist() -> None:
    named: set[str] = set()
    for folder in ("src", "bench", "tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".sql"):
                named |= set(re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8")))
    assert "docs/decisions/0002-sqlite-writer.md" in named
    missing = {name for name in named if not (ROOT / name).is_file()}
    assert not missing


def test_decisions_are_numbered_and_listed() -> None:
    files = sorted(path for path in (DOCS / "decisions").glob("0*.md"))
    assert [path.name[:4] for path in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for page in (DOCS / "decisions" / "README.md", DOCS / "architecture.md"):
        for path in files:
            assert path.name in page.read_text(encoding="utf-8"), path.name
    for path in files:
        assert re.match(rf"# {path.name[:4]}: ", path.read_text(encoding="utf-8"))


def test_sections_of_the_architecture_that_comments_name_exist() -> None:
    there = anchors(DOCS / "architecture.md")
    for path in (ROOT / "src").rglob("*"):
        if path.suffix in (".py", ".sql"):
            for title in re.findall(r'docs/architecture\.md, "([^"]+)"', path.read_text(encoding="utf-8")):
                assert re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") in there, f"{path.name}: {title}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is_for(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if path.name == "__init__.py" and not source.strip():
        return
    assert (ast.get_docstring(ast.parse(source)) or "").strip(), f"{path} has no docstring"


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(?:home|work|root|tmp)/", text), label(page)
