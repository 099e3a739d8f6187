"""The supervisor: children come back when they die, end in order, and stop it all when they cannot start."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.settings import Address, read_settings
from modelctl.supervisor.__main__ import plans_for
from modelctl.supervisor.child import LONGEST_PAUSE, Child, Plan, pause_before_restart
from modelctl.supervisor.listening import open_listener, url_of

PATIENCE = 15.0

CHILD = """
import os, signal, sys, time
name, notes, mode = sys.argv[1:4]
def note(word):
    with open(notes, "a") as file:
        file.write(f"{name} {word} {os.getpid()}\\n")
def stop(number, frame):
    time.sleep(float(mode) if mode[0].isdigit() else 0)
    note("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else stop)
note("started")
if "--ready-fd" in sys.argv:
    if mode == "mute":
        time.sleep(60)
    if mode == "spent":
        sys.exit(3)
    os.write(int(sys.argv[sys.argv.index("--ready-fd") + 1]), b"1")
if mode == "fails":
    sys.exit(7)
if mode == "ends":
    sys.exit(0)
while True:
    time.sleep(10)
"""

PROGRAM = """
import sys
from modelctl.supervisor import rolling, supervision
from modelctl.supervisor.child import Plan, report
supervision.STOP_SECONDS = float(sys.argv[1])
rolling.READY_SECONDS = 1.0
plans = [Plan(part.split("=")[0], (sys.executable, "-c", {child!r}, part.split("=")[0], {notes!r}, part.split("=")[1]))
         for part in sys.argv[2:]]
groups = ("router", "recorder", "controlplane")
sys.exit(supervision.Supervisor(plans, groups, drain_seconds=1.0).run(lambda: report("started", "")))
"""


class Running:
    """A supervisor of small children that write down when they start and stop."""

    def __init__(self, folder: Path, parts: tuple[str, ...], stop_seconds: float) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        self.log = folder / "log"
        program = PROGRAM.format(child=CHILD, notes=str(self.notes))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-c", program, str(stop_seconds), *parts], stderr=log)

    def lines(self, word: str = "") -> list[tuple[str, int]]:
        """Name and process id of what happened so far, in order."""
        rows = [line.split() for line in self.notes.read_text().splitlines()]
        return [(name, int(pid)) for name, did, pid in rows if word in ("", did)]

    def names(self, word: str) -> list[str]:
        return [name for name, _ in self.lines(word)]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < deadline, f"{self.lines()}\n{self.log.read_text()}"
            sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs: not gone, and not waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a supervisor of `name=mode` children; ends what a test leaves running."""
    running: list[Running] = []

    def starter(*parts: str, stop_seconds: float = 10.0) -> Running:
        running.append(Running(tmp_path, parts, stop_seconds))
        return running[-1]

    yield starter
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        for _, pid in one.lines():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_child_that_is_killed_is_started_again(supervise: Callable[..., Running]) -> None:
    running = supervise("controlplane=0", "router=0")
    running.until(lambda: len(running.lines("started")) == 2)
    first = dict(running.lines("started"))
    os.kill(first["router"], signal.SIGKILL)
    running.until(lambda: running.names("started").count("router") == 2)
    assert running.names("started").count("controlplane") == 1
    assert alive(first["controlplane"])
    assert "router ended (signal SIGKILL)" in running.log.read_text()


def test_a_child_that_ends_by_itself_in_good_order_is_started_again_after_growing_pauses(supervise: Callable[..., Running]) -> None:
    running = supervise("recorder=ends")
    running.until(lambda: len(running.lines("started")) >= 4)
    assert running.process.poll() is None


def test_a_child_that_cannot_start_ends_everything_with_its_exit_code(supervise: Callable[..., Running]) -> None:
    running = supervise("controlplane=0", "recorder=fails")
    assert running.process.wait(PATIENCE) == 7
    log = running.log.read_text()
    assert '"gave-up"' in log
    assert "recorder ended with exit code 7" in log
    for _, pid in running.lines("started"):
        assert not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_stop_ends_the_children_group_by_group(supervise: Callable[..., Running], number: signal.Signals) -> None:
    running = supervise("controlplane=0", "recorder=0.1", "router-0=0.3", "router-1=0.2")
    running.until(lambda: len(running.lines("started")) == 4)
    running.process.send_signal(number)
    assert running.process.wait(PATIENCE) == 0
    assert running.names("stopped") == ["router-1", "router-0", "recorder", "controlplane"]
    assert len(running.lines("started")) == 4


def test_a_child_that_does_not_listen_is_killed_in_the_end(supervise: Callable[..., Running]) -> None:
    running = supervise("controlplane=0", "recorder=deaf", stop_seconds=0.5)
    running.until(lambda: len(running.lines("started")) == 2)
    started = monotonic()
    running.process.terminate()
    assert running.process.wait(PATIENCE) == 0
    assert 0.4 < monotonic() - started < 5
    running.until(lambda: not any(alive(pid) for _, pid in running.lines("started")))


def test_children_end_when_the_supervisor_is_killed(supervise: Callable[..., Running]) -> None:
    running = supervise("controlplane=0", "router=0")
    running.until(lambda: len(running.lines("started")) == 2)
    running.process.kill()
    running.process.wait()
    running.until(lambda: sorted(running.names("stopped")) == ["controlplane", "router"])


def test_a_stop_while_a_child_waits_for_its_restart_is_obeyed(supervise: Callable[..., Running]) -> None:
    running = supervise("recorder=ends", "router=0")
    running.until(lambda: running.names("started").count("recorder") >= 3)
    running.process.terminate()
    assert running.process.wait(PATIENCE) == 0


@given(st.integers(0, 60))
def test_pauses_before_restarts_grow_to_a_limit(failures: int) -> None:
    assert pause_before_restart(0) == 0.0
    assert pause_before_restart(failures) <= pause_before_restart(failures + 1) <= LONGEST_PAUSE
    assert pause_before_restart(60) == LONGEST_PAUSE


def test_a_child_says_when_it_may_start_again() -> None:
    child = Child(Plan("x", (sys.executable, "-c", "")))
    dues = []
    for _ in range(3):
        child.start()
        deadline = monotonic() + PATIENCE
        while child.look() is None and monotonic() < deadline:
            sleep(0.005)
        dues.append(child.due - monotonic())
    assert dues[0] <= 0.0
    assert 0.0 < dues[1] < dues[2]


def test_a_hang_up_replaces_the_routers_one_after_the_other_and_nobody_else(supervise: Callable[..., Running]) -> None:
    running = supervise("controlplane=0", "recorder=0", "router=0", "router=0")
    running.until(lambda: len(running.lines("started")) == 4)
    running.process.send_signal(signal.SIGHUP)
    running.until(lambda: '"restarted"' in running.log.read_text() and running.names("stopped").count("router") == 2)
    events = [(line.split()[0], line.split()[1]) for line in running.notes.read_text().splitlines()][4:]
    assert sorted(events) == [("router", "started")] * 2 + [("router", "stopped")] * 2
    assert events[0] == ("router", "started")
    running.until(lambda: sum(alive(pid) for name, pid in running.lines("started") if name == "router") == 2)
    running.process.terminate()
    assert running.process.wait(PATIENCE) == 0
    assert running.names("stopped")[-2:] == ["recorder", "controlplane"]


@pytest.mark.parametrize(("mode", "why"), [("mute", "did not serve within"), ("spent", "exit code 3")])
def test_a_new_router_that_does_not_serve_leaves_the_old_one_alone(
    supervise: Callable[..., Running], mode: str, *, why: str
) -> None:
    running = supervise(f"router={mode}")
    running.until(lambda: len(running.lines("started")) == 1)
    running.process.send_signal(signal.SIGHUP)
    running.until(lambda: '"restart-failed"' in running.log.read_text())
    assert why in running.log.read_text()
    ((_, old), (_, new)) = running.lines("started")
    running.until(lambda: not alive(new))
    assert alive(old)
    assert running.process.poll() is None


def test_a_router_that_does_not_go_is_killed_in_the_end(supervise: Callable[..., Running]) -> None:
    running = supervise("router=deaf", stop_seconds=0.3)
    running.until(lambda: len(running.lines("started")) == 1)
    ((_, old),) = running.lines("started")
    running.process.send_signal(signal.SIGHUP)
    running.until(lambda: not alive(old))
    running.process.terminate()
    assert running.process.wait(PATIENCE) == 0
    running.until(lambda: not any(alive(pid) for _, pid in running.lines("started")))


def test_a_stop_while_routers_are_replaced_ends_all_of_them(supervise: Callable[..., Running]) -> None:
    running = supervise("router=0", "router=mute")
    running.until(lambda: len(running.lines("started")) == 2)
    running.process.send_signal(signal.SIGHUP)
    running.until(lambda: len(running.lines("started")) == 4)
    running.process.terminate()
    assert running.process.wait(PATIENCE) == 0
    running.until(lambda: not any(alive(pid) for _, pid in running.lines("started")))


@pytest.mark.parametrize(("ignored", "ends"), [(False, True), (True, False)])
def test_a_terminal_that_goes_away_ends_it_unless_hang_ups_are_ignored(tmp_path: Path, *, ignored: bool, ends: bool) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    program = PROGRAM.format(child=CHILD, notes=str(notes))
    command = [sys.executable, "-c", program, "5", "router=0"]
    pid, terminal = os.forkpty()
    if pid == 0:
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(sys.executable, command)  # noqa: S606  (ours)
    _wait_for(notes, "started", 1)
    os.close(terminal)
    if ends:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert "stopped" in notes.read_text()
    else:
        _wait_for(notes, "started", 2)
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def _wait_for(notes: Path, word: str, count: int) -> None:
    deadline = monotonic() + PATIENCE
    while notes.read_text().count(word) < count:
        assert monotonic() < deadline, notes.read_text()
        sleep(0.02)


# -- where it listens


def test_a_socket_file_is_for_its_owner_and_group_and_goes_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MODELCTL_")} | {
        "MODELCTL_LISTEN": f"unix:{path}",
        "MODELCTL_CONTROL": "127.0.0.1:0",
        "MODELCTL_DATA_DIR": str(tmp_path / "data"),
    }
    for stale in (False, True):
        if stale:
            _leave_socket_file(path)
        with subprocess.Popen([sys.executable, "-m", "modelctl.supervisor"], env=settings, stderr=subprocess.DEVNULL) as process:
            assert _asked(path).startswith(b"HTTP/1.1 503")
            assert path.stat().st_mode & 0o777 == 0o660
            process.terminate()
            assert process.wait(PATIENCE) == 0
        assert not path.exists()


def _leave_socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def _asked(path: Path) -> bytes:
    deadline = monotonic() + PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            if client.connect_ex(str(path)) == 0:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                return client.recv(65_536)
        assert monotonic() < deadline
        sleep(0.02)


def test_a_socket_file_in_use_or_another_file_is_left_alone(tmp_path: Path) -> None:
    path, file = tmp_path / "r.sock", tmp_path / "precious"
    file.write_text("precious")
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        for place in (path, file):
            ended = _main(MODELCTL_LISTEN=f"unix:{place}", MODELCTL_CONTROL="127.0.0.1:0", MODELCTL_DATA_DIR=str(tmp_path / "data"))
            assert ended.returncode == 2
            assert ended.stderr.startswith(f"error: --listen unix:{place}: ")
        assert path.exists()
    assert file.read_text() == "precious"


def test_ipv6_addresses_are_listened_on() -> None:
    with open_listener(Address("::1", 0), "--listen") as listener:
        host, port = listener.getsockname()[:2]
        assert url_of(listener) == f"http://[{host}]:{port}"


def _main(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelctl.supervisor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("which", ["LISTEN", "CONTROL"])
def test_a_port_in_use_is_one_line_and_exit_code_2(tmp_path: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = {"LISTEN": "CONTROL", "CONTROL": "LISTEN"}[which]
        settings = {f"MODELCTL_{which}": address, f"MODELCTL_{other}": "127.0.0.1:0", "MODELCTL_DATA_DIR": str(tmp_path / "data")}
        ended = _main(**settings)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"error: --{which.lower()} {address}: ")
    assert "already in use" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_wrong_settings_are_one_line_each_and_exit_code_2() -> None:
    ended = _main(MODELCTL_WORKERS="0", MODELCTL_LISTEN="here")
    assert ended.returncode == 2
    assert [line.split(":")[1].strip() for line in ended.stderr.splitlines()] == ["MODELCTL_LISTEN", "MODELCTL_WORKERS"]


def test_a_machine_has_one_control_plane_one_recorder_and_its_workers(tmp_path: Path) -> None:
    settings = read_settings({"MODELCTL_WORKERS": "3", "MODELCTL_DATA_DIR": str(tmp_path)}, {})
    with socket.create_server(("127.0.0.1", 0)) as clients, socket.create_server(("127.0.0.1", 0)) as control:
        plans = plans_for(settings, clients=clients, control=control, control_url="http://127.0.0.1:1")
        routers = [plan for plan in plans if plan.name == "router"]
        assert [plan.name for plan in plans] == ["controlplane", "recorder", "router", "router", "router"]
        assert all(plan.sockets == (clients.fileno(),) for plan in routers)
        names = [plan.command(generation)[-1] for plan in routers for generation in (0, 1, 2)]
        assert len(set(names)) == 9
        alone = plans_for(settings, clients=clients, control=None, control_url="http://127.0.0.1:1")
    assert {plan.name for plan in alone} == {"router"}
