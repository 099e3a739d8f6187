"""The documentation site builds clean, holds everything the program has, and leads nowhere wrong."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from docs.site.failures import every_error
from docs.site.pages import GENERATED, filled, pictures
from modelctl.cli import app
from modelctl.cli.exits import Exit, TimedOut
from modelctl.controlplane.api.app import ENDPOINTS
from modelctl.controlplane.api.openapi import document
from modelctl.controlplane.metrics.catalog import METRICS
from modelctl.router.refusal import Refusal
from modelctl.settings import PREFIX, Settings
from tests.docs.site import DOCS, ROOT, SPHINX, Site, other_commands, typed_commands

GUIDES = sorted([DOCS / "quickstart.md", DOCS / "operations.md", DOCS / "evidence.md", *(DOCS / "howto").glob("*.md")])


def commands(command: Any, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 typer's own click
    """Every command that does something, with its words."""
    if not isinstance(command, TyperGroup):
        return [(words, command)]
    return [found for name, child in command.commands.items() for found in commands(child, (*words, name))]


def test_the_site_is_built_by_the_command_of_the_makefile(site: Site) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"sphinx-build {' '.join(SPHINX)} " in makefile
    assert "modelctl" in site.text("index")


def test_every_command_and_every_option_is_in_the_reference(site: Site) -> None:
    codes, text = site.codes("reference/commands"), site.text("reference/commands")
    found = commands(get_command(app))
    assert len(found) > 40
    for words, command in found:
        assert f"modelctl {' '.join(words)}" in text
        for one in command.params:
            names = {one.name.upper()} if isinstance(one, TyperArgument) else {*one.opts, *one.secondary_opts}
            assert names <= codes, words


def test_every_setting_is_in_the_reference(site: Site) -> None:
    names = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)}
    assert names <= site.codes("reference/settings")
    assert "1 to 64" in site.text("reference/settings")


def test_every_error_is_in_the_reference_with_its_status_and_exit_code(site: Site) -> None:
    codes, text = site.codes("reference/errors"), site.text("reference/errors")
    assert TimedOut in set(every_error())
    assert {one.code for one in every_error()} | {one.__name__ for one in every_error()} <= codes
    assert "GateNotPassed gate-not-passed 409 1 " in text
    assert "StaleRevision stale-revision 412 5 " in text


def test_every_exit_code_is_in_the_reference(site: Site) -> None:
    text = site.text("reference/errors")
    assert [one.name for one in Exit if f"{int(one)} {one.name} " not in text] == []


def test_every_answer_of_the_routers_own_is_in_the_reference(site: Site) -> None:
    text = site.text("reference/errors")
    assert [one.code for one in Refusal if f"{one.code} {one.status} " not in text] == []


def test_every_call_and_object_of_the_api_is_in_the_reference(site: Site) -> None:
    codes, whole = site.codes("reference/api"), document(ENDPOINTS)
    calls = {f"{method.upper()} {path}" for path, methods in whole["paths"].items() for method in methods}
    assert calls | set(whole["components"]["schemas"]) <= codes


def test_every_metric_is_in_the_reference(site: Site) -> None:
    text = site.text("reference/metrics")
    assert len(METRICS) > 30
    assert [one.name for one in METRICS if f"{one.name} {one.type.value} {' '.join(one.labels)}" not in text] == []


def test_every_page_that_people_wrote_is_on_the_site(site: Site) -> None:
    written = {str(file.relative_to(DOCS))[: -len(".md")] for file in DOCS.rglob("*.md") if "_build" not in file.parts}
    assert written <= set(site.pages())


def test_no_page_asks_for_anything_from_elsewhere(site: Site) -> None:
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\"")
    assert [(page, loaded.findall(site.html(page))) for page in site.pages() if loaded.search(site.html(page))] == []


@pytest.mark.parametrize(
    "page", sorted(file for file in DOCS.rglob("*.md") if "_build" not in file.parts), ids=lambda file: file.stem
)
def test_every_link_leads_to_a_file_that_a_git_host_shows_too(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda file: file.stem)
def test_every_command_of_the_guides_is_one_that_the_program_takes(page: Path) -> None:
    for words in [*typed_commands(page), *other_commands(page)]:
        parsed(get_command(app), words)


def parsed(command: Any, words: list[str]) -> None:  # noqa: ANN401 typer's own click
    """Fails with typer's own sentence when the words are no use of the command."""
    if isinstance(command, TyperGroup):
        parsed(command.commands[words[0]], words[1:])
    else:
        command.make_context("modelctl", list(words))


def test_a_command_that_the_program_does_not_take_would_be_found() -> None:
    with pytest.raises(KeyError):
        parsed(get_command(app), ["canari", "fraud"])
    with pytest.raises(Exception, match="--no-such-flag"):
        parsed(get_command(app), ["route", "add", "fraud", "--no-such-flag"])


def test_what_a_page_wants_generated_is_generated() -> None:
    marks = {mark for file in DOCS.rglob("*.md") for mark in re.findall(r"<!-- generated: (\S+) -->", file.read_text())}
    assert marks == {*GENERATED, "pictures"}
    with pytest.raises(KeyError):
        filled("<!-- generated: nothing -->", GENERATED)


def test_pictures_of_the_dashboard_are_shown_where_the_tests_took_some(tmp_path: Path) -> None:
    assert "make test" in pictures(tmp_path / "artifacts", tmp_path / "site")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "dashboard-one-rollout.png").write_bytes(b"a picture")
    assert pictures(tmp_path / "artifacts", tmp_path / "site") == (
        "## One rollout\n\n![The dashboard: one rollout](/_build/pictures/dashboard-one-rollout.png)"
    )
    assert (tmp_path / "site" / "dashboard-one-rollout.png").read_bytes() == b"a picture"
