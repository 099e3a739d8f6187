"""A routing table prepared for the hot path: look up a route, look up a decision, allocate nothing."""

from collections.abc import Callable
from typing import NamedTuple

from modelctl import counts
from modelctl.evidence import Context
from modelctl.router.admission import Gate, Gates, addressed_arms
from modelctl.router.breaker import RouteBreaker
from modelctl.router.choice import Choice, Matcher, Unread
from modelctl.router.clock import Clock
from modelctl.router.counting import ArmCounts
from modelctl.router.decision import Decision, Leg
from modelctl.router.dial import Dialers
from modelctl.router.redaction import Redaction
from modelctl.router.room import Limit
from modelctl.router.roster import Report, unheard
from modelctl.router.sampling import editing
from modelctl.router.target import Target
from modelctl.traffic import Arm, Assignment, Backend, Reason, Role, Route, RoutingTable, Split, parse_unit

PREVIEW_PREFIX = b"/-/preview/"
_OWN_PREFIX = b"/-/"
_MAX_FOUND = 4_096
_MAX_REMEMBERED = 512  # bytes of one target: what is remembered is bounded
SHADOW_PENDING = 2_048
SHADOW_PENDING_BYTES = 32 * 1024 * 1024


class CompiledRoute:
    """One address clients use. `cut` is how much of the target is not forwarded (the preview prefix); `gate` what is let in;
    `choice` what comes before the split, `fields` the names of those that are recorded, `redaction` what is
    taken out of records, and `editing` all that is done to *served* ones, all mostly absent."""

    __slots__ = (
        "_decisions",
        "_index",
        "capture",
        "choice",
        "cut",
        "editing",
        "fields",
        "gate",
        "name",
        "path",
        "path_length",
        "redaction",
        "traced",
        "unit_field",
    )

    def __init__(
        self, route: Route, index: Callable[[bytes], int], *, decisions: list[Decision], gate: Gate | None, cut: int = 0
    ) -> None:
        self.name = route.name
        self.capture = route.capture
        self.choice: Choice | None = None
        self.fields = tuple(name.encode() for name in route.capture.headers)
        self.traced = False
        self.redaction = Redaction(route.capture.redact) if route.capture.redact else None
        self.editing = editing(route, self.redaction)
        self.unit_field = parse_unit(route.unit).encode()
        self.path = b"" if route.path == "/" else route.path.encode()
        self.path_length = len(self.path)
        self.cut = cut
        self.gate = gate
        self._index = index
        self._decisions = decisions

    def trace(self) -> "CompiledRoute":
        """Itself, which from now on records whose child a request is and gives copies spans of their own."""
        self.traced = True
        self.fields = tuple(dict.fromkeys((*self.fields, b"traceparent")))
        return self

    def decide(self, unit: bytes) -> Decision:
        """The decision for `unit`."""
        return self._decisions[self._index(unit)]


def _always_first(unit: bytes) -> int:
    return 0


class Targets:
    """What a worker keeps across tables: one Target a backend, one more where it is shown requests, the breakers, and counts."""

    __slots__ = (
        "_answering",
        "_breakers",
        "_clock",
        "_dialers",
        "_gone",
        "_report",
        "_retired",
        "_shown",
        "counts",
        "traced",
        "unread",
    )

    def __init__(self, clock: Clock, report: Report = unheard, *, dialers: Dialers | None = None) -> None:
        """`report(event, text)` is told what changes about endpoints, and when a breaker opens or closes."""
        self._clock = clock
        self._report = report
        self._dialers = dialers or Dialers(report=report)
        self._breakers: dict[tuple[str, str], RouteBreaker] = {}
        self._gone = Retried(0, 0)
        self.unread = Unread()
        self.traced = False
        self.counts: dict[tuple[str, str, str], ArmCounts] = {}
        self._retired: list[Target] = []
        self._answering: dict[str, Target] = {}
        self._shown: dict[tuple[str, str], Target] = {}

    def answering(self, backend: Backend) -> Target:
        """The Target for `backend`, kept while its description is the same."""
        target = self._answering.get(backend.name)
        if target is None or target.backend != backend:
            fresh = self._answering[backend.name] = Target(backend, self._clock, report=self._report, dialers=self._dialers)
            self._replace(target, fresh)
            return fresh
        return target

    def shown(self, route: str, backend: Backend, *, arm: Arm) -> Target:
        """The Target that carries copies of `route`'s requests to `backend`."""
        key = (route, backend.name)
        target = self._shown.get(key)
        if target is None or target.backend != backend or target.limit.inflight != arm.max_inflight:
            limit = Limit(arm.max_inflight, SHADOW_PENDING, SHADOW_PENDING_BYTES)
            fresh = self._shown[key] = Target(
                backend, self._clock, limit=limit, report=self._for_copies(route), kin=self.answering(backend)
            )
            self._replace(target, fresh)
            return fresh
        return target

    def by_backend(self) -> list[tuple[str, Target]]:
        """The Target that answers for each backend there is, with its name."""
        return list(self._answering.items())

    def breaker_states(self) -> list[tuple[str, str, str]]:
        """The route, the arm and the state of each breaker."""
        return [(route, arm, breaker.state) for (route, arm), breaker in self._breakers.items()]

    def _for_copies(self, route: str) -> Report:
        return lambda event, text: self._report(event, f"for copies of route {route!r}: {text}")

    def _replace(self, old: Target | None, fresh: Target) -> None:
        if old is not None:
            fresh.succeed(old)
            self._retire(old)

    def counted(self, kind: str, route: str, *, arm: str) -> ArmCounts:
        """The counts of an arm, ANSWERING or SHOWN: they outlive tables, because they only grow."""
        return self.counts.setdefault((kind, route, arm), ArmCounts())

    def breaker(self, route: Route, arm: Arm) -> RouteBreaker | None:
        """The breaker of a candidate of `route`, kept while its policy is the same."""
        policy = route.breaker
        if policy is None or arm.role is not Role.CANDIDATE:
            return None
        key = (route.name, arm.backend)
        breaker = self._breakers.get(key)
        if breaker is None or breaker.policy != policy:
            name = f"{arm.backend} on route {route.name}"
            breaker = self._breakers[key] = RouteBreaker(policy, self._clock, name=name, report=self._report)
        return breaker

    def keep(self, table: RoutingTable) -> None:
        """Retire what `table` does not name."""
        backends = {backend.name for backend in table.backends}
        shown = {(route.name, arm.backend) for route in table.routes for arm in route.arms if arm.shown}
        for name in [name for name in self._answering if name not in backends]:
            self._retire(self._answering.pop(name))
        for key in [key for key in self._shown if key not in shown]:
            self._retire(self._shown.pop(key))
        candidates = {(route.name, arm.backend) for route in table.routes if route.breaker for arm in route.arms if arm.answers}
        self._breakers = {key: breaker for key, breaker in self._breakers.items() if key in candidates}

    def _retire(self, target: Target) -> None:
        target.retire()
        self._retired.append(target)

    def every(self) -> tuple[Target, ...]:
        """Each Target, retired ones that are still busy included."""
        return (*self._answering.values(), *self._shown.values(), *self._retired)

    @property
    def busy(self) -> bool:
        """Whether anything is in flight or waits, copies included."""
        return any(target.busy for target in self.every())

    def sweep(self, now: float) -> None:
        """Once per tick. Retired ones too: what is in flight on them still has its deadline."""
        if self._retired:
            for target in [target for target in self._retired if not target.busy]:
                self._retired.remove(target)
                self._gone = self._gone.plus(target)
        for target in self.every():
            target.sweep(now)
        self._dialers.sweep(now)

    def close_idle(self) -> None:
        """Close every connection that carries nothing."""
        for target in self.every():
            for pool in target.pools:
                pool.close_idle()

    def retried(self) -> "Retried":
        """The retries so far, of all backends there were."""
        total = self._gone
        for target in (*self._answering.values(), *self._retired):
            total = total.plus(target)
        return total


class Retried(NamedTuple):
    """Requests that were sent again, and those that were not because the budget was exhausted."""

    again: int
    exhausted: int

    def plus(self, target: Target) -> "Retried":
        """With those of `target`."""
        return Retried(self.again + target.retried, self.exhausted + target.budget_exhausted)


class CompiledTable:
    """`version` and every route by host and path prefix. Longest prefix wins; a route's host wins over none."""

    __slots__ = ("_any_host", "_found", "_gates", "_hosts", "legs", "version")

    def __init__(self, table: RoutingTable, targets: Targets, *, gates: Gates | None = None) -> None:
        self.version = table.version
        self._gates = gates or Gates()
        self.legs: list[Leg] = []
        self._found: dict[tuple[bytes, bytes], CompiledRoute] = {}
        self._any_host: dict[bytes, CompiledRoute] = {}
        self._hosts: dict[bytes, dict[bytes, CompiledRoute]] = {}
        backends = {backend.name: backend for backend in table.backends}
        for route in table.routes:
            place = self._hosts.setdefault(route.host.encode(), {}) if route.host else self._any_host
            self._add(route, place, compiler=_Compiler(route, table.version, backends=backends, targets=targets))
        targets.keep(table)
        self._gates.keep(table)

    def _add(self, route: Route, place: dict[bytes, CompiledRoute], *, compiler: "_Compiler") -> None:
        split = Split(route)
        gates = self._gates
        decisions = [compiler.decision(it) for it in split.assignments]
        compiled = CompiledRoute(route, split.index, decisions=decisions, gate=gates.gate(route))
        compiled.choice = compiler.choice()
        if compiler.traced:
            compiled.trace()
        place[compiled.path] = compiled
        if route.preview:
            address = PREVIEW_PREFIX + route.name.encode()
            gate = gates.preview_gate(route, len(address))
            decisions = [compiler.preview()]
            preview = CompiledRoute(route, _always_first, decisions=decisions, gate=gate, cut=len(address))
            self._any_host[address] = preview.trace() if compiled.traced else preview
        self.legs += compiler.legs.values()

    def match(self, host: bytes, target: bytes) -> CompiledRoute | None:
        """The route for a host (as in the Host field) and a target, or None. Remembers what it found."""
        found = self._found.get((host, target))
        if found is None:
            found = self._look_up(host, target.partition(b"?")[0])
            if found is not None and len(host) + len(target) <= _MAX_REMEMBERED:
                if len(self._found) >= _MAX_FOUND:
                    self._found.clear()
                self._found[host, target] = found
        return found

    def _look_up(self, host: bytes, path: bytes) -> CompiledRoute | None:
        if path.startswith(_OWN_PREFIX):
            found = _longest(self._any_host, path)
            return found if found is not None and found.cut else None
        if self._hosts:
            own = self._hosts.get(host.rpartition(b":")[0].lower() if _has_port(host) else host.lower())
            if own is not None and (found := _longest(own, path)) is not None:
                return found
        return _longest(self._any_host, path)


def _has_port(host: bytes) -> bool:
    return b":" in host and not host.endswith(b"]")


def _longest(routes: dict[bytes, CompiledRoute], path: bytes) -> CompiledRoute | None:
    """The route of the longest prefix of `path` that ends at a "/" or at its end."""
    find: Callable[[bytes], CompiledRoute | None] = routes.get
    while path:
        found = find(path)
        if found is not None:
            return found
        path = path[: path.rfind(b"/")] if b"/" in path else b""
    return find(b"")


class _Compiler:
    """The legs and decisions of one route."""

    def __init__(self, route: Route, version: int, *, backends: dict[str, Backend], targets: Targets) -> None:
        self.route = route
        self.version = version
        self._targets = targets
        self.traced = targets.traced
        marked = route.capture.arm_header
        self.legs = {
            arm.backend: self._answering(arm, backends[arm.backend], marked=marked)
            for arm in route.arms
            if arm.role is not Role.NOISE
        }
        self.shown = {
            arm.backend: Leg(
                arm,
                targets.shown(route.name, backends[arm.backend], arm=arm),
                marked=False,
                counts=targets.counted(counts.SHOWN, route.name, arm=arm.backend),
            )
            for arm in route.arms
            if arm.shown
        }
        if route.preview and route.preview not in self.legs:
            arm = Arm(backend=route.preview, role=Role.CANDIDATE)
            self.legs[route.preview] = self._answering(arm, backends[route.preview], marked=marked)

    def _answering(self, arm: Arm, backend: Backend, *, marked: bool) -> Leg:
        counted = self._targets.counted(counts.ANSWERING, self.route.name, arm=arm.backend)
        return Leg(arm, self._targets.answering(backend), marked=marked, counts=counted)

    def decision(self, assignment: Assignment) -> Decision:
        arm, shown, reason, probability = assignment
        context = self._context(arm, reason, probability=probability)
        decision = Decision(self.legs[arm.backend], tuple(self.shown[other.backend] for other in shown), context=context)
        decision.breaker = self._targets.breaker(self.route, arm)
        if decision.breaker is not None:
            decision.fallback = self._fallback(arm=arm.backend, probability=probability)
        return decision

    def _fallback(self, *, arm: str, probability: int) -> Decision:
        baseline = self.route.baseline
        c = self._context(baseline, Reason.FALLBACK, probability=probability)
        context = Context(c.route, c.rollout, c.stage, c.table, c.role, c.reason, c.probability, b"", arm)
        return Decision(self.legs[baseline.backend], (), context=context)

    def preview(self) -> Decision:
        return self._chosen(self.route.preview, Reason.PREVIEW)

    def choice(self) -> Choice | None:
        """What comes before the split; None for nothing."""
        route = self.route
        if not route.rules and not route.admission.addressable:
            return None
        arms = addressed_arms(route)
        return Choice(
            {name: self._chosen(name.decode(), Reason.ADDRESSED) for name in arms},
            [Matcher(rule, b"" if route.path == "/" else route.path.encode()) for rule in route.rules],
            decisions=[self._chosen(rule.arm, Reason.RULE) for rule in route.rules],
            unread=self._targets.unread,
        )

    def _chosen(self, arm: str, reason: Reason) -> Decision:
        """This arm answers because somebody wants it to: nobody else sees the request."""
        leg = self.legs[arm]
        return Decision(leg, (), context=self._context(leg.arm, reason, probability=0))

    def _context(self, arm: Arm, reason: Reason, *, probability: int) -> Context:
        route = self.route
        return Context(route.name, route.rollout, route.stage, self.version, arm.role.value, reason.value, probability, b"")
