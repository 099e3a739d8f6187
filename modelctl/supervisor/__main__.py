"""`python -m modelctl.supervisor`: reads the settings, opens the sockets, and starts what this machine runs."""

import argparse
import os
import re
import socket
import sys

import msgspec

from modelctl.errors import InvalidSettings
from modelctl.settings import Settings, read_settings
from modelctl.supervisor.child import Plan, report
from modelctl.supervisor.listening import SocketFile, open_listener, url_of
from modelctl.supervisor.supervision import Supervisor


def _plan(part: str, *arguments: str, sockets: tuple[int, ...] = (), worker: str = "") -> Plan:
    # -P: a file of the user's that is called random.py must not take the place of Python's.
    return Plan(part, (sys.executable, "-P", "-m", f"modelctl.{part}", *arguments), sockets, worker)


def plans_for(settings: Settings, *, clients: socket.socket, control: socket.socket | None, control_url: str) -> list[Plan]:
    """The children of one machine, in the order they start."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    database = ("--database", settings.database_url)
    plans = []
    if control is not None:
        plans.append(_plan("controlplane", "--fd", str(control.fileno()), *database, sockets=(control.fileno(),)))
        # With traces the recorder runs inside the process that makes spans of what it records.
        recorder = _plan("tracing" if settings.otlp_endpoint else "recorder", *database, "--spool", str(settings.spool_dir))
        plans.append(msgspec.structs.replace(recorder, name="recorder"))
    for number in range(settings.workers):
        listener = clients.fileno()
        options = ("--data-dir", str(settings.data_dir), "--fd", str(listener), "--control", control_url)
        plans.append(_plan("router", *options, sockets=(listener,), worker=f"{host}-{number}"))
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
        clients = open_listener(settings.listen, "--listen")
        file = SocketFile(clients)
        control = None if arguments.only else _control(settings, file)
    except InvalidSettings as error:
        sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
        return 2
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    control_url = url_of(control) if control is not None else arguments.control_url or f"http://{settings.control}"
    plans = plans_for(settings, clients=clients, control=control, control_url=control_url)
    scheme = "https" if settings.tls_certificate else "http"
    started = f"clients at {url_of(clients, scheme)}, control plane at {control_url}"
    for listener in (clients, control):
        if listener is not None:
            listener.detach()
    supervisor = Supervisor(plans, ("router", "recorder", "controlplane"), drain_seconds=settings.drain_timeout)
    try:
        return supervisor.run(lambda: report("started", started))
    finally:
        file.remove()


def _control(settings: Settings, file: SocketFile) -> socket.socket:
    try:
        return open_listener(settings.control, "--control")
    except InvalidSettings:
        file.remove()
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
