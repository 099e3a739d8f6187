"""What takes long says so on a terminal, and leaves nothing of it behind."""

import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import modelctl as package

PATIENCE = 60
ROOT = str(Path(package.__file__).parents[1])


class Terminal:
    """A command on a terminal of its own, and what it wrote there."""

    def __init__(self, *words: str, **environment: str) -> None:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "modelctl", *words]
        given = {**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm", "COLUMNS": "100", **environment}
        self._process = subprocess.Popen(command, env=given, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._text = ""

    def until(self, wanted: str) -> None:
        """Returns when this was written."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self._text:
            assert time.monotonic() < deadline, self._text
            self._take()

    def ended(self) -> tuple[int, str]:
        """The exit code, and what stands on the last lines when it has ended: what was taken away again is not there."""
        deadline = time.monotonic() + PATIENCE
        while self._take() or self._process.poll() is None:
            assert time.monotonic() < deadline, self._text
        return self._process.wait(), self._text.rsplit("\x1b[2K", 1)[-1]

    def _take(self) -> bool:
        if not select.select([self._master], [], [], 0.1)[0]:
            return False
        with suppress(OSError):
            self._text += (read := os.read(self._master, 65_536)).decode()
            return bool(read)
        return False

    def close(self) -> None:
        """Whatever still runs ends now."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


def test_a_command_that_waits_for_a_lock_shows_a_bar_and_then_what_it_did(tmp_path: Path) -> None:
    file = tmp_path / "modelctl.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with closing(Terminal("db", "upgrade", "--database", f"sqlite:///{file}")) as terminal:
            terminal.until("bringing up the schema")
            holder.execute("ROLLBACK")
            code, last = terminal.ended()
    assert code == 0
    assert "schema" not in last
    assert last.strip()[:4].isdigit(), last


def test_a_control_plane_that_takes_its_time_is_waited_for_with_a_bar() -> None:
    goes_on = Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            goes_on.wait(PATIENCE)
            body = b'{"routes": [], "workers": [], "evidence": {}}'
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The terminal's text is what is looked at."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with closing(Terminal("status", MODELCTL_URL=url)) as terminal:
            terminal.until(f"waiting for {url}")
            goes_on.set()
            code, last = terminal.ended()
        server.shutdown()
        thread.join()
    assert code == 0
    assert "waiting for" not in last
    assert "no route yet" in last


def test_a_pipe_gets_no_bar(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelctl", "db", "upgrade", "--database", f"sqlite:///{tmp_path / 'modelctl.db'}"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
