"""What one worker has counted since it last looked: the changes, the gauges, and a request that stands for others."""

from collections.abc import Iterable, Iterator, Mapping

from modelctl.counts import BUCKETS, OUTCOMES, Exemplar, Key, worded
from modelctl.router.counting import ArmCounts


class _Seen:
    """What of one arm's counts has been reported."""

    __slots__ = ("durations", "fates", "outcomes", "took")

    def __init__(self) -> None:
        self.outcomes = [0] * len(OUTCOMES)
        self.durations = [0] * len(BUCKETS)
        self.took = 0
        self.fates: dict[str, int] = {}


class Census:
    """Remembers what was taken before. What is taken must reach somebody: it does not come again."""

    def __init__(self) -> None:
        self._arms: dict[Key, _Seen] = {}
        self._single: dict[Key, int] = {}
        self.exemplars: list[Exemplar] = []

    def arms(self, counted: Mapping[tuple[str, str, str], ArmCounts]) -> Iterator[tuple[Key, int]]:
        """What the arms have counted. While it is gone through `exemplars` fills, one for each arm that has one."""
        for place, arm in counted.items():
            seen = self._arms.setdefault(place, _Seen())
            if arm.outcomes != seen.outcomes or arm.fates != seen.fates:
                yield from self._arm(place, arm, seen=seen)

    def _arm(self, place: tuple[str, str, str], arm: ArmCounts, *, seen: _Seen) -> Iterator[tuple[Key, int]]:
        kind, route, name = place
        for words, now, before in (
            (OUTCOMES, arm.outcomes, seen.outcomes),
            (BUCKETS, arm.durations, seen.durations),
        ):
            group = kind if words is OUTCOMES else f"{kind}-durations"
            for number, word in enumerate(words):
                if now[number] != before[number]:
                    yield (group, route, name, word), now[number] - before[number]
                    before[number] = now[number]
        if arm.took != seen.took:
            yield (f"{kind}-took", route, name), arm.took - seen.took
            seen.took = arm.took
        for fate, count in arm.fates.items():
            if count != seen.fates.get(fate, 0):
                yield (kind, route, name, f"skipped_{worded(fate)}"), count - seen.fates.get(fate, 0)
                seen.fates[fate] = count
        if arm.trace:
            self.exemplars.append(Exemplar((f"{kind}-durations", route, name), arm.trace, arm.slowest, arm.at))
            arm.exemplify(-1, "", at=0)

    def single(self, counted: Iterable[tuple[Key, int]]) -> Iterator[tuple[Key, int]]:
        """What has changed of counts that stand alone. One that fell began anew."""
        for key, now in counted:
            before = self._single.get(key, 0)
            if now != before:
                self._single[key] = now
                yield key, now - before if now > before else now
