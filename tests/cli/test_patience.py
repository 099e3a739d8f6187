"""What takes long says so on a terminal, and leaves nothing of it behind."""

import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import modelctl as package

PATIENCE = 60
ROOT = str(Path(package.__file__).parents[1])


def test_a_command_that_waits_for_a_lock_shows_a_bar_and_then_what_it_did(tmp_path: Path) -> None:
    file = tmp_path / "modelctl.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "modelctl", "db", "upgrade", "--database", f"sqlite:///{file}"]
    environment = {**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown, deadline = "", time.monotonic() + PATIENCE
    try:
        while process.poll() is None or select.select([master], [], [], 0.1)[0]:
            assert time.monotonic() < deadline, shown
            if select.select([master], [], [], 0.1)[0]:
                try:
                    shown += os.read(master, 65_536).decode()
                except OSError:
                    break
            if "bringing up the schema" in shown and holder.in_transaction:
                holder.execute("ROLLBACK")
    finally:
        process.kill()
        process.wait()
        holder.close()
        with suppress(OSError):
            os.close(master)
    assert process.returncode == 0, shown
    assert "bringing up the schema" in shown
    last = shown.rsplit("\x1b[2K", 1)[-1]
    assert "schema" not in last
    assert last.strip()[:4].isdigit(), last


def test_a_pipe_gets_no_bar(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelctl", "db", "upgrade", "--database", f"sqlite:///{tmp_path / 'modelctl.db'}"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
