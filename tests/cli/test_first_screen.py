"""The demonstration's planted fault, found by somebody who does not know it: on the report's first screen, in three faces."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_processes import program, wait_until
from tests.controlplane.html_page import page_of
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.cli.conftest import Run

SCREEN = 24


def asked_again(command: str) -> dict[str, str]:
    """What a backend answers to a command that was copied."""
    answer: dict[str, str] = json.loads(subprocess.run(["sh", "-c", command], check=True, capture_output=True).stdout)
    return answer


def test_the_planted_fault_is_on_the_first_screen_with_its_interval_and_three_examples_that_open(
    tmp_path: Path, modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    log, page = tmp_path / "log", tmp_path / "report.html"
    words = ["--control", url.removeprefix("http://"), "--listen", f"127.0.0.1:{free_port()}", "--rate", "60", "--seconds", "120"]
    with program("demo", *words, log=log) as process:
        wait_until(lambda: "modelctl history" in log.read_text(), process, log=log)
        monkeypatch.setenv("MODELCTL_URL", url)
        monkeypatch.delenv("MODELCTL_KEY", raising=False)
        assert modelctl("shadow", "--percent", "100").code == 0
        wait_until(lambda: modelctl("report").out.count("  example ") == 3, process, log=log)

        # On the terminal the slice is named with its interval, and one command opens three examples.
        screen = modelctl("report").out.splitlines()[:SCREEN]
        named = next(line for line in screen if "clinic north: cancer-v2 differs on" in line)
        assert re.search(r"a difference of -?[\d.]+% to [\d.]+%", named)
        (opening,) = [line.partition("open them: ")[2] for line in screen if "open them: " in line]
        opened = modelctl(*shlex.split(opening)[1:]).out
        assert opened.count(": baseline said ") == 3

        # What was opened can be asked again, and the two backends answer differently.
        first, second = [line for line in opened.splitlines() if line.startswith("curl ")][:2]
        answers = [
            json.loads(subprocess.run(["sh", "-c", line], check=True, capture_output=True).stdout) for line in (first, second)
        ]
        assert answers[0]["label"] != answers[1]["label"]
        assert '"clinic":"north"' in first

        # The page has the same above its first part, and Markdown above its first table.
        assert modelctl("report", "--html", str(page)).code == 0
        article = page_of(page.read_text(encoding="utf-8")).one("article")
        assert article.one("h3").text == "clinic north"
        assert len([one for one in article.all("details") if one.attributes.get("class") == "example"]) == 3
        head = modelctl("report", "-o", "md").out.partition("\n## Can the data be trusted?")[0]
        assert "### `clinic north`" in head
        assert head.count("<summary>") == 3
        assert re.search(r"Interval: -?[\d.]+ to [\d.]+%", head)
