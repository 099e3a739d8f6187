"""The tables of the documentation against the code they describe."""

import doctest
import re
from pathlib import Path

import msgspec
from typer.core import TyperGroup
from typer.main import get_command

from modelctl.cli import app
from modelctl.cli.exits import Exit
from modelctl.conduct import Conduct
from modelctl.controlplane.metrics.catalog import METRICS
from modelctl.policy import Admission, Breaker, Ejection, Health, RateLimit, Retries
from modelctl.router.refusal import Refusal
from modelctl.router.table import SHADOW_PENDING, SHADOW_PENDING_BYTES
from modelctl.settings import PREFIX, Address, Settings
from modelctl.traffic import Arm, Backend, Capture, Role
from tests.architecture.layers import INSIDE
from tests.architecture.sources import imports, modules, read_sources
from tests.router.bounds import BOUNDS, KIB, MIB

DOCS = Path(__file__).resolve().parent.parent / "docs"


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table behind `heading`, without its head."""
    text = (DOCS / page).read_text().split(f"\n## {heading}\n", 1)[1]
    table = re.search(r"((?:^\|.*\n)+)", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].strip().splitlines()[2:]]


def test_every_answer_of_the_routers_own_is_documented_as_it_is() -> None:
    documented = rows("behavior.md", "What the router answers itself")
    coded = [[f"`{r.code}`", str(r.status), "closed" if r.closes else "kept", r.detail] for r in Refusal]
    assert documented == coded


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0]: row[1].strip("`") for row in rows("cli.md", "Settings of `modelctl serve`")}
    coded = {}
    for field in msgspec.structs.fields(Settings):
        default = field.default
        shown = f"{default:g}" if isinstance(default, float) else "" if default == () else str(default)
        coded[f"`{PREFIX}{field.name.upper()}`"] = shown if not isinstance(default, Address) else str(default)
    assert documented == coded


def test_every_metric_is_documented_as_it_is() -> None:
    documented = rows("monitoring.md", "Metrics")
    coded = [[f"`{m.name}`", m.type.value, " ".join(f"`{label}`" for label in m.labels), m.help] for m in METRICS]
    assert documented == coded


def test_every_alert_has_a_word_about_what_to_do() -> None:
    rules = (DOCS.parent / "deploy" / "prometheus" / "alerts.yml").read_text()
    page = (DOCS / "monitoring.md").read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == re.findall(r"- alert: (\w+)", rules)


def test_every_exit_code_is_documented() -> None:
    assert {int(row[0]) for row in rows("cli.md", "Exit codes")} == {int(code) for code in Exit}


def test_limits_of_backends_and_routes_are_documented_with_their_defaults() -> None:
    documented = {row[0].strip("`"): int(row[1]) for row in rows("behavior.md", "Limits and defaults")}
    coded = limits("", Backend) | limits("", Capture) | limits("health.", Health) | limits("ejection.", Ejection)
    coded |= (
        limits("retries.", Retries) | limits("breaker.", Breaker) | limits("admission.", Admission) | limits("rate.", RateLimit)
    )
    assert documented == coded


def limits(prefix: str, noun: type[msgspec.Struct]) -> dict[str, int]:
    """Its whole numbers with a default."""
    fields = msgspec.structs.fields(noun)
    return {f"{prefix}{field.name}": field.default for field in fields if type(field.default) is int}


def test_the_limits_of_shadows_are_documented() -> None:
    text = (DOCS / "behavior.md").read_text()
    inflight = Arm(backend="a", role=Role.CANDIDATE).max_inflight
    assert f"`max_inflight` ({inflight}) are in flight and {SHADOW_PENDING:,} (or {SHADOW_PENDING_BYTES >> 20} MiB" in text


def test_the_bounds_of_memory_are_documented_as_they_are_measured() -> None:
    documented = {row[0]: row[1] for row in rows("behavior.md", "Memory")}
    assert documented == {what: f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB" for what, size in BOUNDS.items()}


def test_every_link_of_the_readme_leads_somewhere() -> None:
    readme = DOCS.parent / "README.md"
    links = re.findall(r"\]\(([^)#:]+)\)", readme.read_text())
    assert links
    assert [link for link in links if not (DOCS.parent / link).exists()] == []


def options_of(*words: str) -> set[str]:
    """The long options of a command, but those every command has."""
    command = get_command(app)
    for word in words:
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    every = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {name for name in every if name.startswith("--")} - {"--url", "--output", "--help"}


def commands_of(group: TyperGroup, words: tuple[str, ...] = ()) -> set[str]:
    """Every command, with the words before it."""
    found: set[str] = set()
    for name, child in group.commands.items():
        path = (*words, name)
        found |= commands_of(child, path) if isinstance(child, TyperGroup) else {" ".join(path)}
    return found


def test_every_command_is_documented_once() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    documented = [name for row in rows("cli.md", "Commands") for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(documented) == sorted(commands_of(command))


def test_every_option_of_a_rollout_is_documented_with_its_field() -> None:
    table = rows("cli.md", "What a rollout must prove, and how it is run")
    documented = {option for row in table for option in re.findall(r"`(--[a-z-]+)`", row[0])}
    fields = {field for row in table for field in re.findall(r"`conduct\.([a-z_]+)`", row[1])}
    own = {"canary": {"--percent", "--steps", "--shadow-percent"}, "ab": set()}
    own |= {"shadow": {"--percent", "--max-inflight", "--noise-control"}, "blue-green": {"--percent", "--shadow-percent"}}
    for strategy, options in own.items():
        assert options_of(strategy) - options - {"--reason", "--force"} == documented
    assert documented <= options_of("plan")
    not_typed = {"alpha_promote", "alpha_rollback", "deduplicate"}
    assert fields == {field.name for field in msgspec.structs.fields(Conduct)} - not_typed


def test_every_policy_option_is_documented() -> None:
    text = (DOCS / "cli.md").read_text().split("\n## Policies of backends and routes\n", 1)[1].split("\n## ", 1)[0]
    backend, route = text.split("| option of `route` |")
    table = re.compile(r"^\| ((?:`--[a-z-]+` ?)+)", re.MULTILINE)
    for noun, part in (("backend", backend), ("route", route)):
        documented = {option for row in table.findall(part) for option in re.findall(r"--[a-z-]+", row)}
        assert documented | {"--reset"} == options_of(noun, "set")
    assert options_of("backend", "add") == options_of("backend", "set") - {"--reset"}
    assert options_of("route", "add") == options_of("route", "set") - {"--reset"} | {"--backend"}


def test_the_examples_of_the_statistics_give_what_is_printed_beside_them() -> None:
    ran = doctest.testfile(str(DOCS / "statistics.md"), module_relative=False)
    assert ran.attempted > 10
    assert ran.failed == 0


def test_every_statistic_that_the_program_does_not_use_is_called_in_an_example() -> None:
    sources = read_sources(DOCS.parent / "modelctl")
    known = modules(sources)
    used = {target for source in sources for _, target in imports(source, known)}
    beside = {name.rpartition(".")[2] for name in known - used if name.startswith("modelctl.statistics.")}
    section = (DOCS / "statistics.md").read_text(encoding="utf-8").partition("## To call from Python")[2].partition("\n## ")[0]
    assert {"bayes", "cuped"} <= beside
    assert sorted(name for name in beside if not re.search(rf"(?m)^>>> .*\b{name}\.", section)) == []


def test_every_module_of_the_control_plane_is_named_in_its_folder() -> None:
    plane = DOCS.parent / "modelctl" / "controlplane"
    table = {row[0].strip("`/"): re.findall(r"`([a-z_]+)`", row[2]) for row in rows("architecture.md", "Inside the control plane")}
    for folder in {"controlplane", *(path.name for path in plane.iterdir() if path.is_dir() and path.name != "__pycache__")}:
        coded = [path.stem for path in (plane if folder == "controlplane" else plane / folder).glob("*.py")]
        named = table[folder]
        assert sorted(named) == sorted(stem for stem in coded if not stem.startswith("__")) or folder in ("operations", "api")


def test_what_the_folders_of_the_control_plane_may_import_is_documented_as_it_is_checked() -> None:
    table = {
        row[0].strip("`/"): set(re.findall(r"`([a-z]+)`", row[3])) for row in rows("architecture.md", "Inside the control plane")
    }
    assert table == {folder: set(allowed) for folder, allowed in INSIDE.items() if folder != "__main__"}
