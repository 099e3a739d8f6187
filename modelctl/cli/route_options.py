"""The options of `route add` and `route set`, and the fields of a route that they mean."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.quantities import basis_points, ration, seconds, size
from modelctl.policy import EncodedByte, RationBy


@dataclass(frozen=True, kw_only=True)
class RouteOptions:
    """What was given; None for what was not."""

    host: Annotated[str | None, typer.Option(help="Only requests to this host name.")] = None
    unit: Annotated[str | None, typer.Option(help="What stays on one arm: request, or header:NAME.")] = None
    deny: Annotated[list[str] | None, typer.Option(metavar="PATH", help="Path below the route that gets 403; repeatable.")] = None
    allow_encoded: Annotated[list[EncodedByte] | None, typer.Option(help="Percent code that may stand in a path; repeatable.")] = (
        None
    )
    max_body: Annotated[str | None, typer.Option(metavar="SIZE", help="Largest request body, such as 10MiB.")] = None
    rate: Annotated[str | None, typer.Option(metavar="N/TIME", help="Most requests of one client, such as 100/60s.")] = None
    rate_by: Annotated[RationBy | None, typer.Option(help="Who is one client: an address, or an API key.")] = None
    breaker: Annotated[
        bool | None, typer.Option("--breaker/--no-breaker", help="Whether a candidate that keeps failing is taken out at once.")
    ] = None
    arm_header: Annotated[bool | None, typer.Option("--arm-header/--no-arm-header", help="Whether answers carry modelctl-arm.")] = (
        None
    )
    request_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="How much of a request body is kept.")] = None
    answer_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="How much of an answer body is kept.")] = None
    keep_header: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Request header that is kept; repeatable.")] = None
    redact: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="Never recorded: /a/b, header:NAME, query:NAME; repeatable.")
    ] = None
    sample_bodies: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Share of units whose bodies are kept, such as 10%; counts stay whole.")
    ] = None
    keep: Annotated[str | None, typer.Option(metavar="TIME", help="For how long rows are kept, such as 30d; sums stay.")] = None
    keep_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How much the rows may take, such as 10GiB: the oldest go; sums stay.")
    ] = None
    shadow_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="Largest body that is shown to candidates.")] = None

    def fields(self) -> dict[str, Any]:
        """The fields of the API that were given. Raises InvalidInput."""
        plain = {name: value for name, value in (("host", self.host), ("unit", self.unit)) if value is not None}
        breaker: dict[str, Any] = {} if self.breaker is None else {"breaker": {} if self.breaker else None}
        parts = {"capture": self._capture(), "admission": self._admission()}
        return plain | breaker | {name: part for name, part in parts.items() if part}

    def _capture(self) -> dict[str, Any]:
        sizes = {"request_bytes": self.request_bytes, "answer_bytes": self.answer_bytes, "shadow_bytes": self.shadow_bytes}
        sizes["keep_bytes"] = self.keep_size
        found: dict[str, Any] = {name: size(text) for name, text in sizes.items() if text is not None}
        if self.keep_header:
            found["headers"] = [name.lower() for name in self.keep_header]
        if self.redact:
            found["redact"] = self.redact
        if self.sample_bodies is not None:
            found["sample_bodies"] = basis_points(self.sample_bodies)
        if self.keep is not None:
            found["keep_seconds"] = round(seconds(self.keep))
        return found if self.arm_header is None else found | {"arm_header": self.arm_header}

    def _admission(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.deny:
            found["deny"] = self.deny
        if self.allow_encoded:
            found["encoded"] = [code.value for code in self.allow_encoded]
        if self.max_body is not None:
            found["body_bytes"] = size(self.max_body)
        return found | self._rate()

    def _rate(self) -> dict[str, Any]:
        rate: dict[str, Any] = {}
        if self.rate is not None:
            rate["requests"], rate["seconds"] = ration(self.rate)
        if self.rate_by is not None:
            rate["by"] = self.rate_by.value
        return {"rate": rate} if rate else {}
