"""Whatever clients, model servers, time and new tables do, in whatever order: nothing is left counted as under way, and each
request that was sent has one record. In process, over wires that a test holds in its hands.
"""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelctl.policy import Breaker, Ejection, Retries, RetryOn
from modelctl.traffic import Arm, Backend, Capture, Role, Route, RoutingTable
from tests.router.interleaving import Scene, VirtualLoop, Wire

PLAIN = b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
REQUESTS = (
    PLAIN,
    PLAIN,
    PLAIN + PLAIN,
    b"POST /shown HTTP/1.1\r\nhost: x\r\nidempotency-key: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /shown HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nte: trailers\r\nconnection: te\r\n\r\nbody",
    b"POST /split HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    b"POST /split HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nok",
    b"POST /nowhere-else HTTP/1.0\r\ncontent-length: 2\r\n\r\nok",
    b"HEAD /p HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /p HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nearly",
    b"GET /%2e HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /shown HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"\r\n",
    b"\r",
    b"no HTTP\r\n\r\n",
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ndigest: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil closed",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n",
    b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 502 Bad\r\ncontent-length: 9\r\n\r\nhalf",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nframe",
    b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
    b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    b"SSH-2.0\r\n",
)


def _table(version: int, *, narrow: bool) -> RoutingTable:
    retries = Retries(on=tuple(RetryOn), attempts=3, budget_percent=50)
    backends = (
        Backend(name="plain", endpoints=("http://127.0.0.1:1",), max_inflight=2 if narrow else 3, max_pending=2),
        Backend(
            name="several",
            endpoints=("http://127.0.0.1:2", "http://127.0.0.1:3")[: 1 if narrow else 2],
            retries=retries,
            idempotent=True,
            ejection=Ejection(consecutive=2),
            max_inflight=2,
            max_pending=2,
        ),
        Backend(name="new", endpoints=("http://127.0.0.1:4", "http://127.0.0.1:5"), max_inflight=2),
    )
    new = Arm(backend="new", role=Role.CANDIDATE, shown=10_000, max_inflight=2)
    base = Arm(backend="several", role=Role.BASELINE, answers=10_000)
    half = (Arm(backend="several", role=Role.BASELINE, answers=5_000), Arm(backend="new", role=Role.CANDIDATE, answers=5_000))
    routes = (
        Route(name="plain", arms=(Arm(backend="plain", role=Role.BASELINE, answers=10_000),)),
        Route(name="shown", path="/shown", arms=(base, new), rollout=1, stage=1, capture=Capture(shadow_bytes=1_000)),
        Route(name="split", path="/split", arms=half, rollout=2, stage=1, breaker=Breaker(consecutive=2, open_ms=1_000, probes=1)),
    )
    return RoutingTable(version=version, backends=backends, routes=routes)


Step = tuple[str, int, int, int]
KINDS = (
    *["ask"] * 5,
    *["answer"] * 7,
    "bytes",
    "leave",
    "reset",
    "half-close",
    "fill",
    "empty",
    "time",
    "table",
    "drain",
    "lose",
    "end",
    "written",
)
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 15), st.integers(0, 60)), min_size=1, max_size=40
)


def _pick(wires: list[Wire], number: int) -> Wire | None:
    live = [wire for wire in wires if not wire.closing]
    return live[-1 - number % len(live)] if live else None


def _split(wire: Wire, data: bytes, at: int) -> None:
    for piece in (data[:at], data[at:]):
        if piece and not wire.closing:
            wire.arrive(piece)


def _to_client(scene: Scene, kind: str, step: Step) -> None:
    client = _pick(scene.clients, step[1]) if step[1] < len(scene.clients) else scene.join()
    if client is None:
        client = scene.join()
    acts: dict[str, Callable[[], None]] = {
        "ask": lambda: _split(client, REQUESTS[step[2]], step[3]),
        "bytes": lambda: client.arrive(REQUESTS[step[2]][: step[3] + 1]),
        "leave": lambda: client.end(None),
        "reset": lambda: client.end(ConnectionResetError()),
        "half-close": client.finish,
        "fill": lambda: client.fill(full=True),
        "empty": lambda: client.fill(full=False),
    }
    acts[kind]()


def _to_backend(scene: Scene, kind: str, step: Step) -> None:
    backend = _pick(scene.backends, step[1])
    if backend is None:
        return
    if kind == "answer":
        _split(backend, ANSWERS[step[2]], step[3])
    elif kind == "end":
        backend.finish()
    elif step[2] % 3:
        backend.end(ConnectionResetError() if step[2] % 3 == 1 else None)
    else:
        backend.fill(full=not backend.full)


async def _play(scene: Scene, steps: list[Step], *, leave: bool) -> None:
    version = 1
    for step in steps:
        kind = step[0]
        if kind in ("answer", "lose", "end"):
            _to_backend(scene, kind, step)
        elif kind == "written":
            scene.written()
        elif kind == "time":
            await scene.wait((0.1, 0.6, 2.5, 61.0)[step[1]])
        elif kind == "table":
            version += 1
            scene.worker.apply(_table(version, narrow=version % 2 == 0))
        elif kind == "drain" and step[1] == 0:
            for connection in list(scene.worker._connections):
                connection.drain()
        elif kind != "drain":
            _to_client(scene, kind, step)
        await scene.settle()
    await scene.end(leave=leave)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 5), st.booleans())
def test_nothing_is_left_and_everything_is_written_down_once(steps: list[Step], refuses: int, leave: bool) -> None:
    _check(steps, refuses, leave=leave, sync=False)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 5), st.booleans())
def test_nothing_is_left_when_answers_wait_for_the_disk(steps: list[Step], refuses: int, leave: bool) -> None:
    _check(steps, refuses, leave=leave, sync=True)


def _check(steps: list[Step], refuses: int, *, leave: bool, sync: bool) -> None:
    loop = VirtualLoop()
    try:
        scene = Scene(loop, _table(1, narrow=False), refuses=refuses, sync=sync)
        loop.run_until_complete(_play(scene, steps, leave=leave))
    finally:
        loop.close()
    assert scene.left() == {}
    served = scene.served()
    attempts = {record.request_id: record.attempts for record in served}
    assert len(attempts) == len(served)
    sends = scene.sends(copies=False)
    assert not {sent for sent, times in sends.items() if times > attempts.get(sent, 0)}
    assert max(scene.sends(copies=True).values(), default=0) <= 1


class _Broken:
    """A connection that cannot end as it should."""

    draining = False
    deadline = 1.0
    cuts = 0

    def expired(self) -> None:
        raise ValueError("a fault")

    def drain(self) -> None:
        """Part of Connection."""

    def hurry(self) -> None:
        """Part of Connection."""

    def cut(self) -> None:
        self.cuts += 1


def test_a_fault_in_one_connection_does_not_keep_others_from_their_deadlines() -> None:
    loop, broken = VirtualLoop(), _Broken()

    async def play() -> Scene:
        scene = Scene(loop, _table(1, narrow=False), refuses=0)
        scene.worker.admit(broken)
        scene.join()
        await scene.wait(100.0)
        await scene.wait(100.0)
        return scene

    try:
        assert loop.run_until_complete(play()).left() == {}
    finally:
        loop.close()
    assert broken.cuts == 1
