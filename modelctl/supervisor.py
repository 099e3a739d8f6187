"""One machine's processes: opens the sockets they serve, starts them, starts them again, and ends them in order.

    python -m modelctl.supervisor                          everything: control plane, recorder, router workers
    python -m modelctl.supervisor --only router --control-url http://host:8900      router workers and their recorder's spool

The listening sockets are opened once, here, and inherited: a child that dies and comes back never refuses a connection. On
SIGTERM the routers drain first, then the recorder empties the spool, then the control plane ends.
"""

import argparse
import contextlib
import ctypes
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import monotonic, sleep, time_ns

import msgspec

from modelctl.errors import InvalidSettings
from modelctl.settings import Address, Settings, read_settings

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
STEADY_SECONDS = 10.0  # a child that ran this long starts again without a pause
FATAL_SECONDS = 10.0  # a child that ends by itself this soon after the first start will not do better the next time
STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


class Plan(msgspec.Struct, frozen=True):
    """One child: its name, its command line, and the sockets it inherits."""

    name: str
    argv: tuple[str, ...]
    sockets: tuple[int, ...] = ()


def pause_before_restart(failures: int) -> float:
    """Seconds to wait before the next start after `failures` short runs in a row: 0, then doubling up to LONGEST_PAUSE."""
    return 0.0 if failures < 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1))


def report(event: str, message: str) -> None:
    """One line of JSON on standard error."""
    line = {"at": time_ns() // 1_000_000, "process": "supervisor", "event": event, "message": message}
    os.write(2, msgspec.json.encode(line) + b"\n")


def _die_with_parent() -> None:
    """In the child: end when the supervisor does, however it ends. An orphan would hold the port and serve an old table."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A plan and the process that carries it out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.process: subprocess.Popen[bytes] | None = None
        self.due = 0.0
        self._failures = 0
        self._first = monotonic()
        self._started = 0.0

    def start(self) -> None:
        """Start the process."""
        self._started = monotonic()
        self.process = subprocess.Popen(  # noqa: S603  (our own entry points)
            self.plan.argv,
            pass_fds=self.plan.sockets,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  (no threads here)
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def look(self) -> int | None:
        """The exit code of a process that has ended since the last look, else None. Says when the next start is due."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        now = monotonic()
        self._failures = 0 if now - self._started > STEADY_SECONDS else self._failures + 1
        self.due = now + pause_before_restart(self._failures - 1)
        return code

    @property
    def hopeless(self) -> bool:
        """Whether an exit by itself so soon means that something must be mended first."""
        return monotonic() - self._first < FATAL_SECONDS

    def signal(self, number: int) -> None:
        """Send a signal, if there is a process."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """Keeps the children of `plans` running; ends them in the order of `groups`, each a prefix of names.

    The sockets of the plans are its own: it closes them when it ends their children.
    """

    def __init__(self, plans: Sequence[Plan], groups: Sequence[str], *, drain_seconds: float) -> None:
        self._children = [Child(plan) for plan in plans]
        self._groups = groups
        self._drain_seconds = drain_seconds
        self._stopping = False
        self._exit_code = 0

    def run(self, on_started: Callable[[], None]) -> int:
        """Until SIGTERM or SIGINT, or until a child cannot be started at all. The exit code."""
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for child in self._children:
            child.start()
        on_started()
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            while not self._stopping:
                selector.select(self._seconds_to_next())
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)
                self._mend()
        self._stop_all()
        return self._exit_code

    def _on_stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _seconds_to_next(self) -> float:
        waiting = [child.due for child in self._children if child.process is None]
        return max(0.01, min(waiting) - monotonic()) if waiting else 3600.0

    def _mend(self) -> None:
        for child in self._children:
            code = child.look()
            if code is not None and not self._stopping:
                if code > 0 and child.hopeless:
                    report("gave-up", f"{child.plan.name} ended with exit code {code} right after its start; see its message above")
                    self._exit_code, self._stopping = code, True
                    return
                report("restarting", f"{child.plan.name} ended ({_ending(code)})")
            if child.process is None and child.due <= monotonic() and not self._stopping:
                child.start()

    def _stop_all(self) -> None:
        for group in self._groups:
            members = [child for child in self._children if child.plan.name.startswith(group)]
            for child in members:
                child.signal(signal.SIGTERM)
            # While one process holds a listening socket, the system takes connections that nobody is going to serve.
            for descriptor in {descriptor for child in members for descriptor in child.plan.sockets}:
                os.close(descriptor)
            deadline = monotonic() + STOP_SECONDS + (self._drain_seconds if group == "router" else 0)
            while monotonic() < deadline and any(child.process is not None for child in members):
                for child in members:
                    child.look()
                sleep(0.02)
            for child in members:
                child.signal(signal.SIGKILL)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _listen(address: Address, flag: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listener = socket.create_server((address.host, address.port), family=family, backlog=4096)
    except OSError as error:
        raise InvalidSettings(
            [f"{flag} {address}: {error.strerror or error}; choose another address or stop what listens there"]
        ) from None
    listener.set_inheritable(True)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (what children connect to)
    return f"http://{Address(host, port)}"


def _plan(part: str, *arguments: str, sockets: tuple[int, ...] = ()) -> Plan:
    # -P: a file of the user's that is called random.py must not take the place of Python's.
    return Plan(part, (sys.executable, "-P", "-m", f"modelctl.{part}", *arguments), sockets)


def plans_for(settings: Settings, *, clients: socket.socket, control: socket.socket | None, control_url: str) -> list[Plan]:
    """The children of one machine, in the order they start."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    database = ("--database", settings.database_url)
    plans = []
    if control is not None:
        plans.append(_plan("controlplane", "--fd", str(control.fileno()), *database, sockets=(control.fileno(),)))
        plans.append(_plan("recorder", *database, "--spool", str(settings.spool_dir)))
    for number in range(settings.workers):
        name = ("--name", f"{host}-{number}", "--data-dir", str(settings.data_dir))
        listener = clients.fileno()
        plans.append(_plan("router", *name, "--fd", str(listener), "--control", control_url, sockets=(listener,)))
    return plans


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m modelctl.supervisor", description=__doc__)
    parser.add_argument("--only", choices=["router"], help="router workers alone")
    parser.add_argument("--control-url", default="", help="with --only router: where the control plane is")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """0 after an orderly stop, 2 for a wrong setting, else the code of the child that could not start."""
    arguments = _arguments(argv)
    try:
        settings = read_settings(os.environ, {})
        clients = _listen(settings.listen, "--listen")
        control = None if arguments.only else _listen(settings.control, "--control")
    except InvalidSettings as error:
        sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
        return 2
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    control_url = _url(control) if control is not None else arguments.control_url or f"http://{settings.control}"
    plans = plans_for(settings, clients=clients, control=control, control_url=control_url)
    started = f"clients at {_url(clients)}, control plane at {control_url}"
    for listener in (clients, control):
        if listener is not None:
            listener.detach()
    supervisor = Supervisor(plans, ("router", "recorder", "controlplane"), drain_seconds=settings.drain_timeout)
    return supervisor.run(lambda: report("started", started))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
