"""Networks that delay, cut, stall and lie, on each side of the router: what is promised then, and that nothing is left behind."""

import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.chaos_model import ChaosModel
from tests.router.chaos_traffic import CUT, WHOLE, Traffic, check_answers, check_arrivals, check_evidence, endings
from tests.router.conftest import baseline, candidate
from tests.router.process import RouterProcess, eventually
from tests.router.toxic import CLEAN, Blackhole, End, Toxic, ToxicProxy
from tests.router.wire import get

CLIENTS, EACH = 6, 6
ROOM = 3  # requests in flight that a backend may have
SETTINGS = {"header_timeout": "1", "idle_timeout": "1", "body_timeout": "1", "drain_timeout": "2"}
SOMEWHERE = (0, 350_000)  # bytes: before, in and behind what is asked and answered
EARLY = (0, 2_000)

MILD = {
    "latency": Toxic(latency=0.003, jitter=0.012),
    "little bandwidth": Toxic(rate=5_000_000),
    "tiny pieces": Toxic(piece=4_000),
    "a short stall": Toxic(end=End.STALL, after=SOMEWHERE, seconds=0.2),
}
SEVERE = {
    "half-open": Toxic(end=End.SWALLOW, after=SOMEWHERE, share=0.3),
    "reset": Toxic(end=End.RESET, after=SOMEWHERE, share=0.7),
    "reset early": Toxic(end=End.RESET, after=EARLY, share=0.5),
    "closed": Toxic(end=End.CLOSE, after=SOMEWHERE, share=0.7),
    "half-closed": Toxic(end=End.HALF, after=SOMEWHERE, share=0.5),
}
LONG = {
    "a long stall": Toxic(end=End.STALL, after=SOMEWHERE, seconds=2.0, share=0.4),
    "half-open from the start": Toxic(end=End.SWALLOW, after=EARLY, share=0.3),
    "closed early": Toxic(end=End.CLOSE, after=EARLY, share=0.5),
}
TOXICS = MILD | SEVERE | LONG
_prefixes = (f"chaos{number}" for number in count(1))


class Scene:
    """Clients, a router, a baseline and a shadow, with a toxic proxy before each of the three."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = ChaosModel("old"), ChaosModel("new")
        self.to_old, self.to_new = ToxicProxy(self.old.port, seed=2), ToxicProxy(self.new.port, seed=3)
        self.blackhole = Blackhole()
        self.router = RouterProcess(folder, self._table(), settings=SETTINGS).ready()
        self.to_router = ToxicProxy(self.router.port)
        self.proxies = {"clients": self.to_router, "baseline": self.to_old, "shadow": self.to_new}
        self.traffic("/patient").run(clients=4, each=2)
        self.base = self._rested()

    def _table(self) -> RoutingTable:
        urls = {"old": self.to_old.url, "new": self.to_new.url, "blackhole": self.blackhole.url}
        hurried = [
            Backend(name=it, endpoints=(url,), response_timeout_ms=700, connect_timeout_ms=400, pool_idle_ms=300, max_inflight=ROOM)
            for it, url in urls.items()
        ]
        patient = Backend(name="patient", endpoints=(self.to_old.url,), pool_idle_ms=300, max_inflight=ROOM)
        little = Capture(request_bytes=100, answer_bytes=100)  # so that the records of all tests are soon read
        shown, lost = candidate("new", shown=10_000, max_inflight=4), candidate("blackhole", shown=10_000)
        routes = (
            Route(name="hurried", path="/hurried", arms=(baseline("old"), shown), capture=little),
            Route(name="patient", path="/patient", arms=(baseline("patient"), shown), capture=little),
            Route(name="nowhere", path="/nowhere", arms=(baseline("blackhole"),), capture=little),
            Route(name="shown-nowhere", path="/shown-nowhere", arms=(baseline("patient"), lost), capture=little),
        )
        return RoutingTable(version=1, backends=(*hurried, patient), routes=routes)

    def traffic(self, path: str, *, patience: float = 1.2) -> Traffic:
        """Clients with request ids of their own, by way of the proxy."""
        return Traffic(self.to_router.port, path, prefix=next(_prefixes), model="old", patience=patience)

    def _rested(self) -> int:
        """The file descriptors of the router once nothing is open that may idle."""
        lowest = [self.router.descriptors]

        def settled() -> bool:
            before, lowest[0] = lowest[0], self.router.descriptors
            return before == lowest[0] and self.router.connections == 0

        assert eventually(settled)
        return lowest[0]

    def heal(self) -> None:
        """New connections are well."""
        for proxy in self.proxies.values():
            proxy.suffer()

    def check_nothing_is_left(self) -> None:
        """No connection and no descriptor of the router's, and all of the room of each backend."""
        assert eventually(lambda: self.router.connections == 0), f"{self.router.connections} connections are left"
        assert eventually(lambda: self.router.descriptors <= self.base), f"{self.router.descriptors} descriptors, not {self.base}"
        assert eventually(self._all_room_is_there), f"not {ROOM} requests at a time reach the baseline"

    def _all_room_is_there(self) -> bool:
        """Whether as many requests as ever are at the baseline at a time, and no more."""
        self.old.gate.clear()
        asking = [threading.Thread(target=self._ask_at_the_gate) for _ in range(ROOM + 2)]
        for thread in asking:
            thread.start()
        full = self.old.waited_for(ROOM, 2)
        too_many = self.old.waited_for(ROOM + 1, 0.05)
        self.old.gate.set()
        for thread in asking:
            thread.join()
        assert not too_many
        return full

    def _ask_at_the_gate(self) -> None:
        assert self.router.ask(get("/hurried/gate")).status in (200, 503, 504)

    def end(self) -> None:
        """Everything stops; the router in good order."""
        code = self.router.stop()
        for proxy in self.proxies.values():
            proxy.stop()
        for model in (self.old, self.new):
            model.stop()
        self.blackhole.stop()
        assert code == 0
        assert "Traceback" not in self.router.events(), self.router.events()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("toxic"))
    yield scene
    scene.end()


@pytest.fixture
def ill(scene: Scene) -> Iterator[Callable[..., None]]:
    """Makes one place ill, in one direction or both, until the test is over."""

    def suffer(place: str, toxic: Toxic, *, way: str) -> None:
        scene.proxies[place].suffer(up=toxic if way != "down" else CLEAN, down=toxic if way != "up" else CLEAN)

    yield suffer
    scene.heal()
    for proxy in scene.proxies.values():
        proxy.cut()


@pytest.mark.parametrize("place", ["clients", "baseline"])
@pytest.mark.parametrize("toxic", MILD)
def test_what_is_slow_but_whole_costs_nobody_an_answer(scene: Scene, ill: Callable[..., None], toxic: str, *, place: str) -> None:
    ill(place, MILD[toxic], way="both")
    outcomes = scene.traffic("/patient", patience=30).run(clients=CLIENTS, each=EACH)
    check_answers(outcomes)
    assert endings(outcomes) == {WHOLE: CLIENTS * EACH}
    check_arrivals(outcomes, scene.old)
    check_arrivals(outcomes, scene.new)
    check_evidence(outcomes, scene.router, model=scene.old)


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("place", ["clients", "baseline"])
@pytest.mark.parametrize("toxic", [*SEVERE, *(pytest.param(toxic, marks=pytest.mark.slow) for toxic in LONG)])
def test_what_breaks_is_cut_or_refused_and_leaves_nothing_behind(
    scene: Scene, ill: Callable[..., None], toxic: str, *, place: str, way: str
) -> None:
    ill(place, TOXICS[toxic], way=way)
    outcomes = scene.traffic("/hurried").run(clients=CLIENTS, each=EACH)
    scene.heal()
    check_answers(outcomes)
    check_arrivals(outcomes, scene.old)
    check_arrivals(outcomes, scene.new)
    check_evidence(outcomes, scene.router, model=scene.old)
    scene.check_nothing_is_left()


@pytest.mark.parametrize("toxic", TOXICS)
def test_clients_do_not_notice_what_becomes_of_their_shadow(scene: Scene, ill: Callable[..., None], toxic: str) -> None:
    ill("shadow", TOXICS[toxic], way="both")
    outcomes = scene.traffic("/patient", patience=30).run(clients=CLIENTS, each=EACH)
    scene.heal()
    scene.to_new.cut()  # a copy that has begun to answer has minutes for the rest
    assert endings(outcomes) == {WHOLE: CLIENTS * EACH}
    check_arrivals(outcomes, scene.old)
    check_arrivals(outcomes, scene.new)
    check_evidence(outcomes, scene.router, model=scene.old)
    scene.check_nothing_is_left()


def test_a_backend_that_takes_no_connections_is_refused_in_time_and_holds_nothing(scene: Scene) -> None:
    started = monotonic()
    outcomes = scene.traffic("/nowhere", patience=30).run(clients=ROOM * 3, each=2)
    assert endings(outcomes).keys() <= {"connect-failed", "overload"}
    assert monotonic() - started < 10
    check_evidence(outcomes, scene.router, model=scene.old)
    scene.check_nothing_is_left()


def test_a_shadow_that_takes_no_connections_is_not_noticed(scene: Scene) -> None:
    outcomes = scene.traffic("/shown-nowhere", patience=30).run(clients=CLIENTS, each=EACH)
    assert endings(outcomes) == {WHOLE: CLIENTS * EACH}
    check_evidence(outcomes, scene.router, model=scene.old)
    scene.check_nothing_is_left()


def test_everything_at_once(scene: Scene, ill: Callable[..., None]) -> None:
    for place in scene.proxies:
        ill(place, Toxic(latency=0.001, jitter=0.01, piece=8_000, end=End.RESET, after=(0, 900_000), share=0.5), way="both")
    outcomes = scene.traffic("/hurried").run(clients=CLIENTS, each=2 * EACH)
    scene.heal()
    check_answers(outcomes)
    check_arrivals(outcomes, scene.old)
    check_arrivals(outcomes, scene.new)
    check_evidence(outcomes, scene.router, model=scene.old)
    assert endings(outcomes)[CUT] > 0
    scene.check_nothing_is_left()
