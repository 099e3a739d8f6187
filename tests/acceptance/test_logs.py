"""Every line that the processes write: JSON in the names of ECS, or words on a terminal."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.program import PATIENCE, environment, running, until
from tests.ports import free_port

ALWAYS = {"@timestamp", "log.level", "message", "ecs.version", "service.name", "event.dataset", "process.name", "process.pid"}


def test_every_line_of_an_eventful_run_is_an_ecs_document(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        program.modelctl("backend", "add", "old", models["old"]).done()
        program.modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "old").done()
        program.restarted("router", program.kill("router"))
        program.signal(signal.SIGHUP)
        until(lambda: '"restarted"' in program.said, what="new workers")
        assert program.stop() == 0
        lines = [json.loads(line) for line in program.said.splitlines()]
    for line in lines:
        assert line.keys() >= ALWAYS, line
        assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["@timestamp"])
        assert line["log.level"] in ("debug", "info", "warn", "error")
        assert line["event.dataset"] == f"modelctl.{line['process.name']}"
    assert {line["process.name"] for line in lines} == {"supervisor", "router", "recorder", "controlplane"}
    died = [line for line in lines if line.get("event.action") == "restarting"]
    assert [line["log.level"] for line in died] == ["warn"]
    nodes = {line["service.node.name"] for line in lines if line["process.name"] == "router"}
    assert len(nodes) == 4


def test_on_a_terminal_lines_are_for_people(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    listen, control = (f"127.0.0.1:{free_port()}" for _ in range(2))
    given = environment({"data_dir": str(tmp_path), "listen": listen, "control": control})
    process = subprocess.Popen(
        [sys.executable, "-m", "modelctl.supervisor"], env=given, stdin=subprocess.DEVNULL, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    while b"controlplane: listening on" not in said:
        said += os.read(ours, 4096)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE + 20) == 0
    os.close(ours)
    lines = said.decode().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d supervisor: started: clients at http://.*", lines[0])
    assert not any(line.startswith("{") for line in lines)
