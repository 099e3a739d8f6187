"""What was worked out a moment ago, for those who ask for the same: many may look, and a page reads itself again every second."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """At most `most` values, each for `lasts` microseconds. Threads may share it; who asks while it is made waits for that."""

    def __init__(self, *, most: int, lasts: int) -> None:
        self._most = most
        self._lasts = lasts
        self._values: OrderedDict[Hashable, tuple[int, T]] = OrderedDict()
        self._making: dict[Hashable, Future[T]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T], *, at: int) -> T:
        """The value of the key at Unix microsecond `at`; made when there is none, or it is too old. Raises what `make` raises."""
        with self._lock:
            found = self._values.get(key)
            if found is not None and 0 <= at - found[0] < self._lasts:
                return found[1]
            others = self._making.get(key)
            mine: Future[T] = Future()
            if others is None:
                self._making[key] = mine
        return others.result() if others is not None else self._made(key, make, future=mine, at=at)

    def _made(self, key: Hashable, make: Callable[[], T], *, future: Future[T], at: int) -> T:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            future.set_exception(error)
            raise
        with self._lock:
            self._values[key] = (at, value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            del self._making[key]
        future.set_result(value)
        return value
