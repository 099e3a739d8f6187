"""A real Prometheus and its tools read what a running program says."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.acceptance.program import PATIENCE, Program, until
from tests.monitoring.scraping import Prometheus, numbers, scraped, send

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "modelctl.json"
VARIABLES = {"$route": ".*", "$__rate_interval": "1m", "$__range": "5m"}


def expressions() -> dict[str, str]:
    """Every expression of the dashboard by its panel."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


@pytest.fixture(scope="module")
def prometheus(watched: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{watched.control}")
    yield prometheus
    prometheus.stop()


@pytest.mark.external("promtool")
def test_promtool_finds_no_fault_with_the_metrics(watched: Program) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scraped(watched), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.external("prometheus")
def test_every_expression_of_the_dashboard_has_data(watched: Program, prometheus: Prometheus) -> None:
    until(lambda: prometheus.query("modelctl_requests_total"), what="the first scrape")
    send(watched, 40)
    wanted = expressions()
    assert len(wanted) > 30

    deadline = monotonic() + PATIENCE

    def empty() -> list[str]:
        return [panel for panel, expression in wanted.items() if not prometheus.query(expression)]

    until(lambda: not empty() or monotonic() > deadline, what="data")
    assert empty() == []
    assert prometheus.query("up")[0]["value"][1] == "1"


@pytest.mark.external("prometheus")
def test_exemplars_lead_to_the_requests_that_were_slow(watched: Program, prometheus: Prometheus) -> None:
    def exemplars() -> list[dict[str, object]]:
        found = prometheus.ask(
            "query_exemplars",
            query="modelctl_request_duration_seconds_bucket",
            start="2020-01-01T00:00:00Z",
            end="2100-01-01T00:00:00Z",
        )
        return [one["labels"] for series in found for one in series["exemplars"]]

    send(watched, 5)
    traces = {str(labels["trace_id"]) for labels in until(exemplars, what="exemplars")}
    recorded = watched.modelctl("predictions", "fraud", "--limit", "200", "-o", "json").done().json["items"]
    assert traces <= {str(one["id"]).replace("-", "") for one in recorded}


@pytest.mark.external("prometheus")
def test_prometheus_counts_what_was_asked(watched: Program, prometheus: Prometheus) -> None:
    before = numbers(watched)
    send(watched, 30)
    after = until(lambda: _more(watched, before, 30), what="all answers counted")
    expression = 'sum(modelctl_requests_total{route="fraud",outcome="ok"})'
    assert until(lambda: float(prometheus.query(expression)[0]["value"][1]) >= after, what="a scrape")


def _more(program: Program, before: dict[str, float], count: int) -> float:
    """The sum over all arms, once it is `count` more."""
    names = [name for name in before if name.startswith("modelctl_requests_total") and 'outcome="ok"' in name]
    now = numbers(program)
    total = sum(now[name] for name in names)
    return total if total == sum(before[name] for name in names) + count else 0.0


def test_the_dashboard_is_whole() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23
    assert all(panel["description"] for panel in panels if panel["type"] != "row")
