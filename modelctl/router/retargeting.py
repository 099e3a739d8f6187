"""What an endpoint is asked for: the client's words, unless the endpoint, the route or the host it wants says otherwise."""

from modelctl.endpoint import Endpoint
from modelctl.router.head import RequestHead
from modelctl.router.table import CompiledRoute
from modelctl.router.upstream import Owner


def upstream_target(route: CompiledRoute, endpoint: Endpoint, *, target: bytes) -> bytes:
    """The target for one endpoint: as it came, unless the endpoint has a path, which then replaces the route's prefix.

    Behind a preview's own prefix the route's may stand or not.
    """
    prefix = route.path_length
    if route.cut:
        target = target[route.cut :]
        if not target.startswith(b"/"):
            target = b"/" + target
        if not _below(route.path, target):
            prefix = 0
    if endpoint.path:
        return endpoint.path.encode() + target[prefix:]
    return target


def retargeted(head: RequestHead, route: CompiledRoute, *, owner: Owner, size: int, copied: bool) -> bytes:
    """The beginning of a head for an endpoint that is not asked in the client's words. A copy of `size` bytes is not chunked."""
    endpoint = owner.endpoint
    target = upstream_target(route, endpoint, target=head.target)
    framing = b"content-length: %d\r\n" % size if copied and head.codings is not None else head.framing
    return head.started(target, owner.host or head.host or endpoint.authority.encode(), framing=framing)


def _below(prefix: bytes, target: bytes) -> bool:
    """Whether `target` is `prefix` or something below it."""
    return target.startswith(prefix) and target[len(prefix) : len(prefix) + 1] in (b"", b"/", b"?")
