"""`demo`: two real models, real rows as client traffic, and everything that serves and compares them."""

import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer

from modelctl.cli.api import Api, read
from modelctl.cli.children import Children, Stopped
from modelctl.cli.command import DEFAULT_URL, local
from modelctl.cli.convergence import Changed
from modelctl.cli.output import note, say, show, table
from modelctl.cli.processes import environment_for
from modelctl.cli.status_answer import Status
from modelctl.errors import ControlPlaneUnreachable, InvalidInput, ModelctlError, StoreError
from modelctl.settings import Address, parse_address

commands = typer.Typer()

MARK = "made-by-modelctl-demo"
WITHIN = 60.0
NEXT = (
    ("status", "what runs now: shares, requests, errors, and whether evidence arrives"),
    ("shadow --percent 100", "show every request to cancer-v2 as well; clients keep cancer-v1's answers"),
    ("report", "where the two models differ, and whether that is more than chance"),
    ("canary --percent 5", "let cancer-v2 answer 5% of the users; takes over from the shadow"),
    ("promote", "make cancer-v2 the baseline"),
    ("rollback", "go back, and see how many milliseconds cancer-v2 kept receiving requests"),
    ("history", "who did what, when and why"),
    (
        "shadow --gate accuracy:guardrail:margin=2pt --mode auto --max-time 1h",
        "after a rollback: the same shadow, which the evidence now ends by itself",
    ),
)


@local(commands, "demo", examples=("modelctl demo", "modelctl demo --rate 50 --seconds 600 --listen 127.0.0.1:9080"))
def demo(
    *,
    listen: Annotated[str, typer.Option(help="HOST:PORT for the clients' traffic.")] = "127.0.0.1:8080",
    control: Annotated[str, typer.Option(help="HOST:PORT of the control API.")] = "127.0.0.1:8900",
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="Requests a second.")] = 20,
    seconds: Annotated[float, typer.Option(min=1, help="How long the traffic lasts.")] = 1800,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Folder of this demo; made anew.")] = Path(".modelctl/demo"),
) -> None:
    """Run two models, a router and a stream of real rows on this machine, and say what to try. Ctrl-C ends all of it."""
    clients, api = free_address("--listen", listen), free_address("--control", control)
    environment = environment_for({"data_dir": str(data_dir), "listen": str(clients), "control": str(api), "database": ""})
    fresh_folder(data_dir)
    traffic = ["--rate", f"{rate:g}", "--seconds", f"{seconds:g}"]
    try:
        with Children(data_dir / "logs") as children:
            _run(children, environment, clients=clients, api=api, traffic=traffic)
    except Stopped:
        note("stopped")


def _run(children: Children, environment: dict[str, str], *, clients: Address, api: Address, traffic: list[str]) -> None:
    note("starting two models, the router, the control plane and the recorder ...")
    models = {version: _start_model(children, version) for version in ("v1", "v2")}
    children.start("serve", ["modelctl.supervisor"], environment=environment)
    for version, address in models.items():
        children.wait_until(answers(f"http://{address}/healthz"), what=f"the model cancer-{version}", within=WITHIN)
    target, control = f"http://{clients}", f"http://{api}"
    with Api(control, key=environment.get("MODELCTL_KEY", "")) as plane:
        children.wait_until(partial(_serving, plane), what="the control plane with its router", within=WITHIN)
        _register(plane, models)
    clients_of = ["modelctl.demo.traffic", "--target", target, "--control", control, *traffic]
    children.start("traffic", clients_of, environment={}, needed=False)
    _tell(target, control)
    children.watch()


def _serving(plane: Api) -> bool:
    """Whether the control plane answers and a router takes its tables."""
    try:
        return any(worker.alive for worker in read(plane.get("/v1/status"), Status).workers)
    except (ControlPlaneUnreachable, StoreError):
        return False


def _start_model(children: Children, version: str) -> Address:
    address = Address("127.0.0.1", _free_port())
    children.start(f"cancer-{version}", ["modelctl.demo.model", "--version", version, "--listen", str(address)], environment={})
    return address


def _register(plane: Api, models: dict[str, Address]) -> None:
    for version, address in models.items():
        backend = {"name": f"cancer-{version}", "endpoints": [f"http://{address}"], "kind": "json", "prediction": "/label"}
        plane.post("/v1/backends", backend)
    clinic = {"name": "clinic", "source": "request", "place": "/clinic"}
    route = {"name": "cancer", "path": "/predict", "baseline": "cancer-v1", "unit": "header:x-user-id", "dimensions": [clinic]}
    read(plane.post("/v1/routes", route), Changed).convergence.require()


def _tell(target: str, control: str) -> None:
    say(f"clients send to {target}/predict · control plane at {control} · Ctrl-C ends everything")
    if control != DEFAULT_URL:
        say(f"first: export MODELCTL_URL={control}")
    show(table(["TRY", "TO SEE"], [[f"modelctl {words}", meaning] for words, meaning in NEXT]))


def answers(url: str) -> Callable[[], bool]:
    """A question: does `url` answer 200 now?"""

    def ask() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    return ask


def free_address(flag: str, text: str) -> Address:
    """The address in `text`, which nothing listens on. Raises InvalidInput or ModelctlError that name the flag."""
    try:
        address = parse_address(text)
    except ValueError as error:
        raise InvalidInput(f"{flag}: {error}") from None
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise ModelctlError(
                f"cannot listen on {address}: {error.strerror}; choose another port with {flag} HOST:PORT"
            ) from error
        return Address(address.host, probe.getsockname()[1])


def fresh_folder(folder: Path) -> None:
    """`folder` made anew, with a place for logs. Raises InvalidInput rather than delete what a demo has not made."""
    if folder.exists() and not (folder / MARK).exists():
        if not folder.is_dir() or any(folder.iterdir()):
            raise InvalidInput(f"{folder} is not empty and no demo made it: choose another folder with --data-dir")
    elif folder.exists():
        shutil.rmtree(folder)
    (folder / "logs").mkdir(parents=True)
    (folder / MARK).touch()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
