"""SIGHUP to the whole program while traffic flows: every router worker is another one afterwards, and nobody noticed."""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Ask, Load, failures, flowing, wrong
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route

SLOW = 700  # milliseconds


def asks(prefix: str) -> Iterator[Ask]:
    """Requests without end; every twentieth takes the model long, so that some are always in flight."""
    for number in count():
        yield Ask(f"{prefix}-{number}", b'{"x":%d}' % number, "/rolling", wait=0 if number % 20 else SLOW)


def make_certificate(certificate: Path, key: Path) -> None:
    """A new one, for the loopback address."""
    options = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1")
    command = ["openssl", "req", "-x509", *options, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


def replaced(program: Program, before: list[int]) -> bool:
    """Whether all workers are new ones and the old ones have gone."""
    now = program.pids("router")
    return len(now) == program.workers and not set(now) & set(before)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_while_the_workers_are_replaced(models: Mapping[str, str], tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as program:
        add_backends(program, models)
        add_route(program, "rolling")
        kept = Load(program.port, asks("kept"), connections=24, rate=200.0)
        fresh = Load(program.port, asks("fresh"), connections=12, rate=60.0, keep=False)
        with flowing(kept) as one, flowing(fresh) as two:
            before = program.pids("router")
            program.signal(signal.SIGHUP)
            until(lambda: replaced(program, before), what="new workers", within=60)
            one.wait_for(100)
        replies = [*one.replies, *two.replies]
        assert not failures(replies), program.said
        assert wrong(replies) == []
        ledger = Ledger(program.database_url)
        ledger.recorded(one.replies, "kept")
        ledger.recorded(two.replies, "fresh")


def test_commands_converge_while_and_after_workers_are_replaced(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        add_backends(program, models)
        add_route(program, "rolling")
        names = {worker["worker"] for worker in program.status()["workers"] if worker["alive"]}
        before = program.pids("router")
        with flowing(Load(program.port, asks("kept"), connections=16, rate=100.0)) as flow:
            program.signal(signal.SIGHUP)
            percent = 1
            while not replaced(program, before):  # a command fails that is not converged
                program.modelctl("canary", "rolling", "new", "--percent", str(percent)).done()
                percent += 1
            program.modelctl("canary", "rolling", "new", "--percent", "90").done()
            flow.wait_for(50)
        assert not failures(flow.replies), program.said
        alive = {worker["worker"] for worker in program.status()["workers"] if worker["alive"]}
        assert len(alive) == 2
        assert not alive & names


def test_a_second_hang_up_replaces_them_once_more(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path) as program:
        program.signal(signal.SIGHUP)
        program.signal(signal.SIGHUP)
        until(lambda: '"restarted"' in program.said, what="the first new worker")
        program.signal(signal.SIGHUP)
        until(lambda: program.said.count('"restarted"') >= 2, what="the second")
        until(lambda: len(program.pids("router")) == 1, what="one worker")


def test_a_worker_that_cannot_serve_does_not_take_over(models: Mapping[str, str], tmp_path: Path) -> None:
    """Here because its certificate has become nonsense; whoever has it already goes on."""
    certificate, key = tmp_path / "c.pem", tmp_path / "c.key"
    make_certificate(certificate, key)
    with running(tmp_path / "data", tls_certificate=str(certificate), tls_key=str(key)) as program:
        before = program.pids("router")
        certificate.write_text("nonsense")
        program.signal(signal.SIGHUP)
        until(lambda: '"restart-failed"' in program.said, what="the end of the restart")
        assert program.pids("router") == before
        make_certificate(certificate, key)
        program.signal(signal.SIGHUP)
        until(lambda: replaced(program, before), what="a new worker")
