"""The sum of all workers grows by what was asked, whoever dies meanwhile."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from time import sleep

from tests.acceptance.program import Program, running, until
from tests.monitoring.conftest import prepare
from tests.monitoring.scraping import numbers, send

OK = 'modelctl_requests_total{route="fraud",arm="old",outcome="ok"}'


def counted(program: Program, count: int) -> None:
    """Returns when so many answers are counted, and no more come."""
    until(lambda: numbers(program).get(OK, 0) >= count, what=f"{count} answers counted")
    assert numbers(program)[OK] == count


def test_a_worker_that_dies_takes_nothing_out_of_the_sum(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        prepare(program, models)
        send(program, 30)
        counted(program, 30)
        for number in range(2):
            program.restarted("router", program.kill("router", number))
        send(program, 12)
        counted(program, 42)
        until(lambda: numbers(program)["modelctl_workers"] == 2, what="both workers")
        until(lambda: numbers(program)["modelctl_evidence_pending_records"] == 0, what="everything recorded")


def test_what_is_counted_while_there_is_no_control_plane_is_told_to_the_next(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as program:
        prepare(program, models)
        send(program, 10)
        counted(program, 10)
        killed = program.kill("controlplane")
        send(program, 7)
        program.restarted("controlplane", killed)
        program.ready()
        counted(program, 7)  # a counter of a new process begins at 0, and Prometheus knows that


def test_evidence_that_nobody_records_is_a_backlog_with_an_age(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as program:
        prepare(program, models)
        send(program, 5)
        until(lambda: numbers(program)["modelctl_evidence_committed_total"] == 5, what="everything recorded")
        os.kill(program.pids("recorder")[0], signal.SIGSTOP)
        send(program, 8)
        until(lambda: numbers(program)["modelctl_evidence_pending_records"] == 8, what="a backlog")
        assert numbers(program)["modelctl_evidence_backlog_bytes"] > 8 * 100
        sleep(1.2)
        assert numbers(program)["modelctl_evidence_lag_seconds"] > 1
        os.kill(program.pids("recorder")[0], signal.SIGCONT)
        until(lambda: numbers(program)["modelctl_evidence_lag_seconds"] == 0, what="the end of the backlog")
        assert numbers(program)["modelctl_evidence_committed_total"] == 13
