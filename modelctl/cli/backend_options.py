"""The options of `backend add` and `backend set`, and the fields of a backend that they mean."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.quantities import whole_milliseconds
from modelctl.errors import InvalidInput
from modelctl.policy import RetryOn
from modelctl.traffic import HostSent, PredictionType

UNVERIFIED = (
    "warning: the certificates of {name} are not verified: whoever stands on the way to it can read and change requests and "
    "predictions. With a private authority, --ca FILE --verify is safe and just as easy"
)


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """What was given; None and False for what was not."""

    kind: Annotated[str | None, typer.Option(help="How it speaks: json, v1, v2.")] = None
    prediction: Annotated[str | None, typer.Option(help="Where the prediction is in its answer, such as /label.")] = None
    type_: Annotated[PredictionType | None, typer.Option("--type", help="What the prediction is.")] = None
    max_inflight: Annotated[int | None, typer.Option(help="Most requests at a time; more wait.")] = None
    max_pending: Annotated[int | None, typer.Option(help="Most requests that wait; more get 503.")] = None
    timeout: Annotated[str | None, typer.Option(help="Longest wait for the first byte of an answer, such as 60s.")] = None
    connect_timeout: Annotated[str | None, typer.Option(help="Longest wait for a connection, such as 2s.")] = None
    slow_start: Annotated[str | None, typer.Option(help="Time in which an endpoint that comes back gets its share.")] = None
    host: Annotated[HostSent | None, typer.Option(help="Whose Host field it gets: its client's, or its own.")] = None
    idempotent: Annotated[
        bool | None, typer.Option("--idempotent/--no-idempotent", help="Whether asking twice does no harm, whatever the method.")
    ] = None
    ca: Annotated[str | None, typer.Option(help="PEM file with the authorities to trust, on the router's machine.")] = None
    client_certificate: Annotated[str | None, typer.Option(help="PEM file with the certificate the router shows.")] = None
    client_key: Annotated[str | None, typer.Option(help="PEM file with the key of that certificate.")] = None
    server_name: Annotated[str | None, typer.Option(help="Name the certificate must be for; else the host of the URL.")] = None
    verify: Annotated[
        bool | None, typer.Option("--verify/--no-verify", help="--no-verify trusts ANY certificate: for experiments only.")
    ] = None
    health: Annotated[str | None, typer.Option(metavar="PATH", help="Path to ask whether an endpoint is well.")] = None
    no_health: Annotated[bool, typer.Option("--no-health", help="No health checks.")] = False
    eject: Annotated[
        bool | None, typer.Option("--eject/--no-eject", help="Whether endpoints that fail real requests are left out.")
    ] = None
    retry_on: Annotated[str | None, typer.Option(metavar="WHAT,...", help=f"Repeat safe requests after: {', '.join(RetryOn)}.")] = (
        None
    )
    attempts: Annotated[int | None, typer.Option(help="Most attempts at one request, the first included.")] = None
    no_retries: Annotated[bool, typer.Option("--no-retries", help="Repeat nothing a backend may have seen.")] = False

    def fields(self) -> dict[str, Any]:
        """The fields of the API that were given. Raises InvalidInput."""
        plain = {
            "kind": self.kind,
            "prediction": self.prediction,
            "prediction_type": self.type_,
            "max_inflight": self.max_inflight,
            "max_pending": self.max_pending,
            "host": self.host,
            "idempotent": self.idempotent,
        }
        times = {
            "response_timeout_ms": self.timeout,
            "connect_timeout_ms": self.connect_timeout,
            "slow_start_ms": self.slow_start,
        }
        given = {name: whole_milliseconds(text) for name, text in times.items() if text is not None}
        return _given(plain) | given | self._tls() | self._health() | self._failures()

    def warning(self, name: str) -> str:
        """What is to be said aloud; "" for nothing."""
        return UNVERIFIED.format(name=name) if self.verify is False else ""

    def _tls(self) -> dict[str, Any]:
        tls = _given(
            {
                "ca": self.ca,
                "certificate": self.client_certificate,
                "key": self.client_key,
                "server_name": self.server_name,
                "verify": self.verify,
            }
        )
        return {"tls": tls} if tls else {}

    def _health(self) -> dict[str, Any]:
        if self.no_health:
            if self.health is not None:
                raise InvalidInput("--health and --no-health contradict each other: give one of them")
            return {"checked": False}
        return {} if self.health is None else {"health": {"path": self.health}, "checked": True}

    def _failures(self) -> dict[str, Any]:
        """What is done about failures of an endpoint: ejection and retries."""
        ejection: dict[str, Any] = {} if self.eject is None else {"ejection": {} if self.eject else None}
        retries = _given({"on": None if self.retry_on is None else _causes(self.retry_on), "attempts": self.attempts})
        if not self.no_retries:
            return ejection | ({"retries": retries} if retries else {})
        if retries:
            raise InvalidInput("--no-retries contradicts --retry-on and --attempts: give one of them")
        return ejection | {"retries": None}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _causes(text: str) -> list[str]:
    causes = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [cause for cause in causes if cause not in set(RetryOn)]
    if unknown or not causes:
        raise InvalidInput(f"--retry-on {text}: name one or more of {', '.join(RetryOn)}, with commas between them")
    return causes
