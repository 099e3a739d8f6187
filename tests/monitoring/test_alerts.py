"""The alert rules fire when they should and not otherwise, and name metrics that there are."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from modelctl.controlplane.metrics.catalog import METRICS, Type
from tests.monitoring.alarms import ALARMS, Alarm

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
AT = "20m"


def series_of_metrics() -> set[str]:
    """Every name of a series that `/metrics` has."""
    found = {metric.name for metric in METRICS if metric.type is not Type.HISTOGRAM}
    return found | {
        f"{metric.name}_{part}" for metric in METRICS if metric.type is Type.HISTOGRAM for part in ("bucket", "sum", "count")
    }


def test_every_rule_has_its_numbers() -> None:
    assert re.findall(r"- alert: (\w+)", RULES.read_text()) == [alarm.name for alarm in ALARMS]


@pytest.mark.parametrize("file", [RULES, ROOT / "deploy" / "grafana" / "modelctl.json"], ids=["rules", "dashboard"])
def test_rules_and_dashboard_name_only_metrics_that_there_are(file: Path) -> None:
    named = set(re.findall(r"\bmodelctl_\w+", file.read_text()))
    assert named
    assert named <= series_of_metrics()


def promtool(*arguments: str, text: str = "") -> str:
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.external("promtool")
def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert "SUCCESS" in promtool("check", "config", str(RULES.with_name("prometheus.yml")))


def expected(alarm: Alarm) -> dict[str, object]:
    return {
        "exp_labels": {"severity": alarm.severity, **alarm.labels},
        "exp_annotations": {"summary": alarm.summary},
    }


def proof(alarm: Alarm, series: dict[str, str], *, fires: bool) -> dict[str, object]:
    """One test of promtool."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": AT, "alertname": alarm.name, "exp_alerts": [expected(alarm)] if fires else []},
        ],
    }


@pytest.mark.external("promtool")
@pytest.mark.parametrize("fires", [True, False], ids=["fire", "stay-quiet"])
def test_rules(tmp_path: Path, *, fires: bool) -> None:
    tests = [proof(alarm, alarm.firing if fires else alarm.quiet, fires=fires) for alarm in ALARMS]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in promtool("test", "rules", str(file))
