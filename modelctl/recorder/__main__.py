"""`python -m modelctl.recorder --database URL --spool DIR`"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from modelctl.errors import InvalidSettings, StoreError
from modelctl.recorder.process import collect_seldom, insist, log, only_reader, run, stop_signals
from modelctl.recorder.recorder import Recorder, Tap
from modelctl.settings import Settings, read_settings
from modelctl.store import schema
from modelctl.store.engine import connect

_NICE = 5  # what has been answered can wait: a router that shares the machine goes first


def main(arguments: Sequence[str], tap: Tap | None = None) -> int:
    """Records until SIGTERM, and tells `tap` what. 0 then; 2 when a setting is wrong, with one line for each fault on stderr."""
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(os.environ, {"database": options.database, "data_dir": options.data_dir})
        connect(settings.database_url).dispose()
    except InvalidSettings as error:
        sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
        return 2
    except StoreError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    os.nice(_NICE)
    collect_seldom()
    _record(settings, Path(options.spool) if options.spool else settings.spool_dir, tap=tap)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m modelctl.recorder", description="Records what the routers wrote down.")
    parser.add_argument("--database", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    parser.add_argument("--spool", metavar="DIR", help="the folder of the workers' spools; default: DATA_DIR/spool")
    parser.add_argument("--data-dir", metavar="DIR", help="where the database and the spools are unless said otherwise")
    return parser


def _record(settings: Settings, root: Path, *, tap: Tap | None) -> None:
    url = settings.database_url
    engine = connect(url)
    with stop_signals() as stop:
        log("start", database=schema.shown(url), spool=str(root), pid=os.getpid())
        with only_reader(root, stop, log=log):
            if insist(lambda: schema.check(url), stop, log=log):
                run(Recorder(engine, root, log=log, tap=tap), stop, log=log)
        log("stop")
    engine.dispose()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
