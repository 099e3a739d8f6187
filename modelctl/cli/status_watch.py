"""`status -w`: a picture that is drawn again when it changed, or for a pipe a line for each change."""

import time
from datetime import datetime
from typing import NamedTuple, NoReturn

from rich.console import Console, RenderableType
from rich.live import Live

from modelctl.cli.api import read
from modelctl.cli.command import Session
from modelctl.cli.output import data_console, line, say
from modelctl.cli.patience import quiet
from modelctl.cli.status_answer import Status
from modelctl.cli.status_lines import status_lines
from modelctl.cli.status_tree import status_tree
from modelctl.errors import ControlPlaneUnreachable, StoreError

EVERY = 2.0


class Look(NamedTuple):
    """What one question came to. A control plane that is gone for a moment is said in its place."""

    picture: RenderableType
    lines: dict[str, str]


def watch(session: Session, route: str) -> NoReturn:
    """Ctrl-C ends it."""
    console = data_console()
    if console.is_terminal:
        _draw(session, route, console=console)
    _print(session, route)


def _draw(session: Session, route: str, *, console: Console) -> NoReturn:
    drawn: object = None
    with quiet(), Live(console=console, auto_refresh=False, screen=True, vertical_overflow="ellipsis") as live:
        while True:
            picture = look(session, route).picture
            # What looks the same is not drawn again: a terminal that nobody writes to cannot flicker.
            now = (console.size, console.render_lines(picture))
            if now != drawn:
                live.update(picture, refresh=True)
            drawn = now
            time.sleep(EVERY)


def _print(session: Session, route: str) -> NoReturn:
    said: dict[str, str] = {}
    while True:
        lines = look(session, route).lines
        for name, sentence in lines.items():
            if said.get(name) != sentence:
                say(f"{datetime.now().astimezone():%H:%M:%S} {sentence}")
        said = lines
        time.sleep(EVERY)


def look(session: Session, route: str) -> Look:
    """The status now."""
    try:
        status = read(session.api.get("/v1/status", route=route), Status)
    except (ControlPlaneUnreachable, StoreError) as error:
        sentence = f"{error} · asking again every {EVERY:.0f} seconds"
        return Look(line(sentence), {"": sentence})
    return Look(status_tree(status), status_lines(status))
