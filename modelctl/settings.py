"""What needs a restart to change: where things listen, where they keep things, and the limits of a router process.

`read_settings` takes the environment as an argument and reports every fault at once. A setting's environment variable is
`MODELCTL_` and its name in capitals; a command line option of the same name wins over it.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from modelctl.endpoint import SOCKETS
from modelctl.errors import InvalidSettings
from modelctl.log_line import LogFormat

PREFIX = "MODELCTL_"
# When a record of a request is written: soon after its answer, or before the end of it.
ASYNC, SYNC = "async", "sync"
# When what is written is made to survive a loss of power.
NEVER, IN_INTERVALS, EACH_BATCH = "never", "interval", "batch"
_SOCKET = re.compile(r"unix:(/[A-Za-z0-9._@+/-]{0,99}[A-Za-z0-9._@+-])")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")


class Address(msgspec.Struct, frozen=True):
    """A host and port to listen on or connect to. Port 0 lets the system choose. With `socket` it is that Unix socket instead."""

    host: str
    port: int
    socket: str = ""

    def __str__(self) -> str:
        if self.socket:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its default. Times are seconds, sizes bytes."""

    listen: Address = Address("127.0.0.1", 8080)
    control: Address = Address("127.0.0.1", 8900)
    workers: int = 1
    data_dir: Path = Path(".modelctl")
    database: str = ""
    key: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    trusted_proxies: tuple[str, ...] = ()
    backend_networks: tuple[str, ...] = ()
    header_timeout: float = 10.0
    idle_timeout: float = 75.0
    body_timeout: float = 30.0
    drain_timeout: float = 30.0
    max_head_bytes: int = 65_536
    max_fields: int = 128
    max_body_bytes: int = 1_073_741_824
    max_connections: int = 10_000
    max_inflight: int = 8_192
    max_memory_bytes: int = 1_073_741_824
    spool_buffer_bytes: int = 16_777_216
    spool_max_bytes: int = 4_294_967_296
    spool_mode: str = ASYNC
    spool_fsync: str = IN_INTERVALS
    otlp_endpoint: str = ""
    trace_ratio: float = 1.0
    log_format: str = LogFormat.AUTO.value

    @property
    def database_url(self) -> str:
        """Where the store is: `database`, or a SQLite file in the data folder."""
        return self.database or f"sqlite:///{self.data_dir / 'modelctl.db'}"

    @property
    def spool_dir(self) -> Path:
        """The folder of all spools on this machine."""
        return self.data_dir / "spool"

    @property
    def table_file(self) -> Path:
        """The last routing table that was good: what a router starts from."""
        return self.data_dir / "routing-table.json"


def parse_address(text: str) -> Address:
    """`HOST:PORT` or `[IPv6]:PORT`. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match["port"]) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT with a port up to 65535, such as 127.0.0.1:8080")
    host = match["host"]
    if host.startswith("["):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    return Address(host, int(match["port"]))


def parse_listen(text: str) -> Address:
    """`HOST:PORT`, `[IPv6]:PORT` or `unix:/PATH`. Raises ValueError."""
    if not text.startswith("unix:"):
        return parse_address(text)
    match = _SOCKET.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not unix: and an absolute path of at most 100 plain characters, such as unix:/run/modelctl.sock"
        )
    return Address("", 0, match[1])


def _parse_whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _parse_seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise ValueError(f"{text!r} is not a number of seconds such as 10 or 0.5")
    return float(text)


def _parse_folder(text: str) -> Path:
    if not text:
        raise ValueError("it is empty: name a folder")
    return Path(text)


def _parse_networks(text: str) -> tuple[str, ...]:
    words = [part.strip() for part in text.split(",")]
    return tuple(word if word == SOCKETS else str(ipaddress.ip_network(word)) for word in words if word)


def _parse_database(text: str) -> str:
    if text and not re.match(r"(sqlite|postgresql)(\+[a-z0-9_]+)?://", text):
        raise ValueError("it must start with sqlite:/// or postgresql://")
    return re.sub(r"^postgresql://", "postgresql+psycopg://", text)


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return parse


def _parse_otlp(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s?#]+", text):
        raise ValueError(f"{text!r} is not the http:// or https:// URL of a collector, such as http://127.0.0.1:4318")
    return text


_OWN_PARSERS: Mapping[str, Callable[[str], object]] = {
    "database": _parse_database,
    "listen": parse_listen,
    "spool_mode": _one_of(ASYNC, SYNC),
    "spool_fsync": _one_of(NEVER, IN_INTERVALS, EACH_BATCH),
    "log_format": _one_of(*LogFormat),
    "otlp_endpoint": _parse_otlp,
}
_PARSERS: Mapping[object, Callable[[str], object]] = {
    Address: parse_address,
    int: _parse_whole,
    float: _parse_seconds,
    str: str,
    Path: _parse_folder,
    tuple[str, ...]: _parse_networks,
}

_LEAST_MEMORY = 67_108_864

RANGES: Mapping[str, tuple[float, float]] = {
    "workers": (1, 64),
    "header_timeout": (0.1, 600),
    "idle_timeout": (0.1, 86_400),
    "body_timeout": (0.1, 86_400),
    "drain_timeout": (0, 3_600),
    "max_head_bytes": (1_024, 1_048_576),
    "max_fields": (8, 10_000),
    "max_body_bytes": (0, 1 << 50),
    "max_connections": (1, 1_000_000),
    "max_inflight": (1, 1_000_000),
    "max_memory_bytes": (0, 1 << 50),
    "spool_buffer_bytes": (65_536, 1 << 34),
    "trace_ratio": (0, 1),
    "spool_max_bytes": (1 << 20, 1 << 50),
}


def read_settings(environment: Mapping[str, str], options: Mapping[str, str | None]) -> Settings:
    """The settings that `environment` and then `options` (by field name, None for not given) ask for.

    Raises InvalidSettings with one sentence for each fault, and names the variable or option to mend.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for field in msgspec.structs.fields(Settings):
        variable = PREFIX + field.name.upper()
        given = options.get(field.name)
        source = variable if given is None else f"--{field.name.replace('_', '-')}"
        text = environment.get(variable) if given is None else given
        if text is None:
            continue
        try:
            values[field.name] = _parsed(field.name, text, type_=field.type)
        except ValueError as error:
            faults.append(f"{source}: {error}")
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)} | _FOREIGN
    faults += [f"{name}: no such setting" for name in sorted(environment) if name.startswith(PREFIX) and name not in known]
    settings = Settings(**values)  # type: ignore[arg-type]
    faults += _cross_faults(settings)
    if faults:
        raise InvalidSettings(faults)
    return settings


# Variables of the command line client, which share the prefix.
_FOREIGN = {f"{PREFIX}URL"}


def _parsed(name: str, text: str, *, type_: object) -> object:
    value = _OWN_PARSERS.get(name, _PARSERS[type_])(text)
    if isinstance(value, int | float) and name in RANGES:
        low, high = RANGES[name]
        if not low <= value <= high:
            raise ValueError(f"{text} is out of range: from {low:g} to {high:g}")
    return value


def _cross_faults(settings: Settings) -> list[str]:
    faults = []
    if not settings.control.loopback and not settings.key:
        faults.append(
            f"control: {settings.control} can be reached from other machines, and there is no key: "
            "set MODELCTL_KEY to a secret (for example: openssl rand -hex 24), here and for every client and router"
        )
    if 0 < settings.max_memory_bytes < _LEAST_MEMORY:
        faults.append(f"max_memory_bytes: 0 (no limit) or at least {_LEAST_MEMORY}: an idle router needs about half of that")
    if settings.key and not re.fullmatch(r"[!-~]{16,256}", settings.key):
        faults.append("MODELCTL_KEY: a key has 16 to 256 visible ASCII characters and no spaces")
    return faults + _tls_faults(settings)


def _tls_faults(settings: Settings) -> list[str]:
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        missing = "MODELCTL_TLS_KEY" if settings.tls_certificate else "MODELCTL_TLS_CERTIFICATE"
        return [f"{missing}: it is not set; TLS for clients needs the certificate and its key, both or neither"]
    if settings.tls_client_ca and not settings.tls_certificate:
        return [
            "MODELCTL_TLS_CLIENT_CA: clients show certificates only over TLS; set MODELCTL_TLS_CERTIFICATE and MODELCTL_TLS_KEY"
        ]
    return []
