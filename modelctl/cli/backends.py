"""`backend`: the model servers the router can send requests to."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from modelctl.cli.api import read, read_items
from modelctl.cli.backend_options import BackendOptions
from modelctl.cli.changes import Reset, change_of, named
from modelctl.cli.command import LISTS, OBJECTS, VIEWS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.convergence import Changed
from modelctl.cli.fields import field_rows, plain
from modelctl.cli.output import note, show, table, write_structured
from modelctl.cli.quantities import milliseconds
from modelctl.cli.result import Listing, show_listing, tell
from modelctl.errors import InvalidInput, ModelctlError

commands = typer.Typer(help="Model servers the router can send requests to.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the backend, such as fraud-v7.", show_default=False)]


@client(
    commands,
    "add",
    examples=(
        "modelctl backend add fraud-v7 http://10.0.0.7:8080",
        "modelctl backend add fraud-v7 https://10.0.0.7 https://10.0.0.8 --kind v2 --ca /etc/modelctl/ca.pem --retry-on reset,503",
    ),
    outputs=OBJECTS,
)
def add(
    session: Session,
    words: Annotated[list[str], typer.Argument(metavar="NAME URL...", help="Its name, and where it listens.", show_default=False)],
    *,
    options: BackendOptions,
) -> None:
    """Make a model server known. No traffic goes to it until a route or a rollout names it."""
    name, *urls = words
    if not urls:
        raise InvalidInput(f"say where backend {name} listens: modelctl backend add {name} http://127.0.0.1:8001")
    backend = session.api.post("/v1/backends", {"name": name, "endpoints": urls} | options.fields())
    _warn(options.warning(name))
    tell(
        session,
        backend,
        name=name,
        sentence=f"added backend {name} at {', '.join(urls)} · next: modelctl backend test {name} --sample FILE",
    )
    read(backend, Changed).convergence.require_of_connected()


@client(
    commands,
    "set",
    examples=(
        "modelctl backend set fraud-v7 --timeout 5s --retry-on reset,503 --attempts 3",
        "modelctl backend set fraud-v7 http://10.0.0.7:8080 http://10.0.0.8:8080 --health /ready --reset retries",
    ),
    outputs=OBJECTS,
)
def set_(
    session: Session,
    name: Name,
    *,
    urls: Annotated[
        list[str] | None, typer.Argument(metavar="URL...", help="Where it listens from now on.", show_default=False)
    ] = None,
    options: BackendOptions,
    reset: Reset = None,
) -> None:
    """Change how a backend is reached, watched and repeated, while it serves. What is not named stays."""
    resets = [*(reset or []), *(["checked"] if "health" in (reset or []) else [])]
    change = change_of(options.fields() | ({"endpoints": urls} if urls else {}), resets)
    backend = session.api.patch(address(name), change)
    _warn(options.warning(name))
    changed = read(backend, Changed).convergence
    sentence = " · ".join([f"changed {named(change)} of backend {name}", *changed.sentences])
    tell(session, backend, name=name, sentence=sentence)
    changed.require_of_connected()


@client(commands, "list", examples=("modelctl backend list", "modelctl backend list -o name"), outputs=LISTS)
def list_(session: Session) -> None:
    """List the backends."""
    answer = session.api.get("/v1/backends")
    rows = read_items(answer, BackendRow)
    listing = Listing(
        names=[row.name for row in rows],
        columns=("NAME", "KIND", "URL", "PREDICTION"),
        more=("TYPE", "MAX IN FLIGHT", "TIMEOUT"),
        rows=[row.cells for row in rows],
        right=("MAX IN FLIGHT", "TIMEOUT"),
    )
    show_listing(session, answer, listing=listing)


@client(commands, "show", examples=("modelctl backend show fraud-v7", "modelctl backend show fraud-v7 -o yaml"), outputs=VIEWS)
def show_(session: Session, name: Name) -> None:
    """Show everything about one backend."""
    backend = session.api.get(address(name))
    if session.structured:
        write_structured(backend, session.output)
    else:
        show(table(["FIELD", "VALUE"], list(field_rows(backend))))


@client(
    commands,
    "test",
    examples=(
        "modelctl backend test fraud-v7 --sample row.json",
        "modelctl backend test fraud-v7 --sample - --path /predict < row.json",
    ),
    outputs=VIEWS,
)
def send_sample(
    session: Session,
    name: Name,
    *,
    sample: Annotated[str, typer.Option(help="File with one request body, or - for standard input.", show_default=False)],
    path: Annotated[str | None, typer.Option(help="Path to send it to, such as /predict.")] = None,
) -> None:
    """Send one sample to a backend and say what its kind made of the answer. Nothing is recorded."""
    body = _sample(sample) | ({} if path is None else {"path": path})
    answer = session.api.post(f"{address(name)}:test", body)
    trial = read(answer, Trial)
    if session.structured:
        write_structured(answer, session.output)
    else:
        show(table([name, ""], _trial_rows(trial)))
    _require_good(name, trial)


@client(commands, "remove", examples=("modelctl backend remove fraud-v5", "modelctl backend remove fraud-v5 --yes"))
def remove(session: Session, name: Name, *, yes: Yes = False) -> None:
    """Forget a backend. What it answered stays in the records; a backend that a route uses cannot be removed."""
    confirmed(f"Remove backend {name}?", yes=yes)
    answer = session.api.delete(address(name))
    tell(session, answer, name=name, sentence=f"removed backend {name}")
    read(answer, Changed).convergence.require_of_connected()


class BackendRow(msgspec.Struct, frozen=True):
    """What a list shows of a backend."""

    name: str
    endpoints: list[str]
    kind: str = ""
    prediction: str = ""
    prediction_type: str = ""
    max_inflight: int = 0
    response_timeout_ms: int = 0

    @property
    def cells(self) -> list[str]:
        """In the order of the list's columns."""
        short = [self.name, self.kind, ", ".join(self.endpoints), self.prediction or "(of the kind)"]
        return [*short, self.prediction_type, str(self.max_inflight), f"{self.response_timeout_ms} ms"]


class Trial(msgspec.Struct, frozen=True):
    """What a backend answered to one sample, and what its kind made of it."""

    status: int = 0
    outcome: str = ""
    failure: str = ""
    latency_ms: float | None = None
    prediction: Any = None
    problem: str = ""
    body_preview: str = ""


def address(name: str) -> str:
    """The path of one backend in the API."""
    return f"/v1/backends/{quote(name, safe='')}"


def _sample(source: str) -> dict[str, Any]:
    """The sample as the API takes it: JSON when it is JSON, text otherwise."""
    text = sys.stdin.read() if source == "-" else _file_text(Path(source))
    try:
        return {"body": msgspec.json.decode(text)}
    except msgspec.DecodeError:
        return {"text": text}


def _file_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the sample {file} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise InvalidInput(f"cannot read the sample {file}: {error.strerror}") from error


def _trial_rows(trial: Trial) -> list[list[str]]:
    return [
        ["status", str(trial.status) if trial.status else f"no answer ({trial.failure})"],
        ["outcome", trial.outcome],
        ["latency", milliseconds(trial.latency_ms)],
        ["prediction", plain(trial.prediction)],
        ["problem", trial.problem or "-"],
        ["answer", trial.body_preview or "-"],
    ]


def _require_good(name: str, trial: Trial) -> None:
    if trial.outcome != "ok":
        raise ModelctlError(f"backend {name} did not answer the sample well: outcome {trial.outcome}")
    if trial.problem:
        raise ModelctlError(f"backend {name} answered, but no prediction was found in it: {trial.problem}")


def _warn(warning: str) -> None:
    if warning:
        note(warning)
