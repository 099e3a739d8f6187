"""The named recipes: from a baseline, candidates and parameters to a ladder of steps.

A strategy is data once it has been applied: the steps of a rollout. Nothing outside this file knows the names in STRATEGIES;
the routers, the compiler and the operations only see steps, arms and shares. Shares are basis points, 10,000 is all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from modelctl.errors import InvalidInput
from modelctl.rollout import Step
from modelctl.traffic import ALL, Arm, Role, checked_name

_LONGEST_BAKE = 366 * 86_400_000

P = TypeVar("P", bound=msgspec.Struct)
P_contra = TypeVar("P_contra", contravariant=True)


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`percent_bp` answers first, then each of `steps_bp`; of what the baseline answers, `shadow_bp` is shown as well.

    Each step lasts `bake_ms` at least. At the shares `holds_bp` automation stops until a person advances.
    """

    percent_bp: int
    steps_bp: tuple[int, ...] = ()
    holds_bp: tuple[int, ...] = ()
    bake_ms: int = 0
    shadow_bp: int = 0
    max_inflight: int = 256

    def __post_init__(self) -> None:
        for share in self.rungs:
            _check_share("percent_bp and steps_bp", share, low=1)
        _check_share("shadow_bp", self.shadow_bp, low=0)
        if any(low >= high for low, high in zip(self.rungs, self.rungs[1:], strict=False)):
            raise InvalidInput(
                f"the steps of a canary must rise from its percent: {' -> '.join(map(percent, self.rungs))} does not; "
                "leave out the steps that are not above the one before them"
            )
        strange = [percent(share) for share in self.holds_bp if share not in self.rungs]
        if strange:
            raise InvalidInput(
                f"holds_bp names {', '.join(strange)}, which is no step of this canary; "
                f"its steps are {', '.join(map(percent, self.rungs))}"
            )
        _check_bake(self.bake_ms)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The candidate's share at each step. A first step equal to the percent is the same step."""
        return self.steps_bp if self.steps_bp[:1] == (self.percent_bp,) else (self.percent_bp, *self.steps_bp)


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`percent_bp` of the requests is shown to every candidate, at most `max_inflight` at once to each.

    Of what is shown, `noise_bp` is sent to the baseline a second time: how much its answers differ from each other.
    """

    percent_bp: int = ALL
    noise_bp: int = 0
    max_inflight: int = 256

    def __post_init__(self) -> None:
        _check_share("percent_bp", self.percent_bp, low=1)
        _check_share("noise_bp", self.noise_bp, low=0)


class BlueGreen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Green is reachable at the preview address, then answers everything. Before the switch it can be judged against blue:
    shown `shadow_bp` of what blue answers, or answering `percent_bp` itself. What comes after the switch is no comparison.

    Each step lasts `bake_ms` at least.
    """

    percent_bp: int = 0
    shadow_bp: int = 0
    bake_ms: int = 0
    max_inflight: int = 256

    def __post_init__(self) -> None:
        _check_share("percent_bp", self.percent_bp, low=0)
        _check_share("shadow_bp", self.shadow_bp, low=0)
        if self.percent_bp == ALL:
            raise InvalidInput("percent_bp of a blue-green is what green answers before the switch: less than 10000 basis points")
        _check_bake(self.bake_ms)


class Ab(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`shares_bp` names every arm, the baseline among them, with its share; together they are 10,000."""

    shares_bp: dict[str, int]

    def __post_init__(self) -> None:
        for name, share in self.shares_bp.items():
            _check_share(f"the share of {checked_name(name, 'backend')!r}", share, low=1)
        if len(self.shares_bp) < 2:
            raise InvalidInput("an A/B test needs at least two arms: name each with its share, such as fraud-v6=50 fraud-v7=50")
        if sum(self.shares_bp.values()) != ALL:
            raise InvalidInput(f"the shares of an A/B test must add up to 100%, not {percent(sum(self.shares_bp.values()))}")


def canary(baseline: str, candidates: tuple[str, ...], *, parameters: Canary) -> tuple[Step, ...]:
    """One step for each rung: the candidate answers its share, and is shown `shadow_bp` of the rest."""
    candidate = _only(candidates)

    def step(share: int) -> Step:
        arm = Arm(
            backend=candidate,
            role=Role.CANDIDATE,
            answers=share,
            shown=parameters.shadow_bp,
            max_inflight=parameters.max_inflight,
        )
        return Step(
            title=f"{percent(share)} to {candidate}",
            arms=(_baseline(baseline, ALL - share), arm),
            bake_ms=parameters.bake_ms,
            hold=share in parameters.holds_bp,
        )

    return tuple(step(share) for share in parameters.rungs)


def shadow(baseline: str, candidates: tuple[str, ...], *, parameters: Shadow) -> tuple[Step, ...]:
    """One step: the baseline answers everything, the candidates are shown a share of it, and itself a share of that."""
    shown = tuple(
        Arm(backend=name, role=Role.CANDIDATE, shown=parameters.percent_bp, max_inflight=parameters.max_inflight)
        for name in candidates
    )
    if parameters.noise_bp:
        noise = Arm(backend=baseline, role=Role.NOISE, shown=parameters.noise_bp, max_inflight=parameters.max_inflight)
        shown = (*shown, noise)
    title = f"{percent(parameters.percent_bp)} shown to {', '.join(candidates)}"
    return (Step(title=title, arms=(_baseline(baseline, ALL), *shown)),)


def blue_green(baseline: str, candidates: tuple[str, ...], *, parameters: BlueGreen) -> tuple[Step, ...]:
    """Preview, perhaps with a share, then switched. The baseline stays on the route without one: going back finds it warm."""
    green = _only(candidates)
    share = parameters.percent_bp
    before = Arm(
        backend=green, role=Role.CANDIDATE, answers=share, shown=parameters.shadow_bp, max_inflight=parameters.max_inflight
    )
    after = Arm(backend=green, role=Role.CANDIDATE, answers=ALL)
    words = ["preview", *([f"{percent(share)} to {green}"] if share else [])]
    words += [f"{percent(parameters.shadow_bp)} shown"] if parameters.shadow_bp else []
    return (
        Step(title=", ".join(words), arms=(_baseline(baseline, ALL - share), before), preview=green, bake_ms=parameters.bake_ms),
        Step(title="switched", arms=(_baseline(baseline, 0), after), preview=green, bake_ms=parameters.bake_ms),
    )


def ab(baseline: str, candidates: tuple[str, ...], *, parameters: Ab) -> tuple[Step, ...]:
    """One step with the given shares."""
    shares = parameters.shares_bp
    if baseline not in shares:
        raise InvalidInput(f"the baseline {baseline!r} must be one of the arms of an A/B test; those named are {', '.join(shares)}")
    if set(candidates) != set(shares) - {baseline}:
        raise InvalidInput(f"the candidates {', '.join(candidates)} are not the arms that have shares: {', '.join(shares)}")
    arms = tuple(Arm(backend=name, role=Role.CANDIDATE, answers=shares[name]) for name in candidates)
    title = " / ".join(f"{percent(share)} {name}" for name, share in shares.items())
    return (Step(title=title, arms=(_baseline(baseline, shares[baseline]), *arms)),)


def _no_names(_: object) -> tuple[str, ...]:
    return ()


class Recipe(NamedTuple):
    """A strategy with its parameters: only a baseline and candidates are missing.

    `named` are the backends that the parameters name themselves; `command` gives the words a person types behind the route.
    """

    ladder: Callable[[str, tuple[str, ...]], tuple[Step, ...]]
    command: Callable[[tuple[str, ...]], str]
    named: tuple[str, ...]


class Ladder(Protocol[P_contra]):
    """What a strategy is: a function to steps."""

    def __call__(self, baseline: str, candidates: tuple[str, ...], *, parameters: P_contra) -> tuple[Step, ...]: ...


@dataclass(frozen=True)
class Strategy(Generic[P]):
    """A named function to steps, what its parameters are, and how they are written on a command line."""

    parameters: type[P]
    ladder: Ladder[P]
    command: Callable[[tuple[str, ...], P], str]
    named: Callable[[P], tuple[str, ...]] = _no_names

    def recipe(self, given: Mapping[str, object]) -> Recipe:
        """Raises msgspec.ValidationError."""
        parameters = msgspec.convert(dict(given), type=self.parameters)
        return Recipe(
            lambda baseline, candidates: self.ladder(baseline, candidates, parameters=parameters),
            lambda candidates: self.command(candidates, parameters),
            self.named(parameters),
        )


def _canary_command(candidates: tuple[str, ...], parameters: Canary) -> str:
    words = [*candidates, f"--percent {percent(parameters.percent_bp)}"]
    if parameters.steps_bp or parameters.holds_bp:
        rungs = parameters.rungs if parameters.percent_bp in parameters.holds_bp else parameters.steps_bp
        words.append(f"--steps {','.join(percent(share) + '!' * (share in parameters.holds_bp) for share in rungs)}")
    return " ".join([*words, *_more_words(parameters)])


def _shadow_command(candidates: tuple[str, ...], parameters: Shadow) -> str:
    noise = [f"--noise-control {percent(parameters.noise_bp)}"] if parameters.noise_bp else []
    return " ".join([*candidates, f"--percent {percent(parameters.percent_bp)}", *noise])


def _blue_green_command(candidates: tuple[str, ...], parameters: BlueGreen) -> str:
    share = [f"--percent {percent(parameters.percent_bp)}"] if parameters.percent_bp else []
    return " ".join([*candidates, *share, *_more_words(parameters)])


def _more_words(parameters: Canary | BlueGreen) -> list[str]:
    shown = [f"--shadow-percent {percent(parameters.shadow_bp)}"] if parameters.shadow_bp else []
    return [*shown, *([f"--bake {parameters.bake_ms}ms"] if parameters.bake_ms else [])]


def _ab_command(_: tuple[str, ...], parameters: Ab) -> str:
    return " ".join(f"{name}={percent(share)}" for name, share in parameters.shares_bp.items())


def _ab_names(parameters: Ab) -> tuple[str, ...]:
    return tuple(parameters.shares_bp)


STRATEGIES: Mapping[str, Strategy[Any]] = MappingProxyType(
    {
        "canary": Strategy(Canary, canary, _canary_command),
        "shadow": Strategy(Shadow, shadow, _shadow_command),
        "blue-green": Strategy(BlueGreen, blue_green, _blue_green_command),
        "ab": Strategy(Ab, ab, _ab_command, _ab_names),
    }
)


def recipe_for(name: str, given: Mapping[str, object]) -> Recipe:
    """The strategy `name` with the parameters `given`, checked. Raises InvalidInput."""
    if name not in STRATEGIES:
        raise InvalidInput(f"there is no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    try:
        return STRATEGIES[name].recipe(given)
    except msgspec.ValidationError as error:
        # A check of our own arrives wrapped; its words stand in the cause.
        reason = error.__cause__ if isinstance(error.__cause__, InvalidInput) else error
        raise InvalidInput(f"the parameters of {name} are not valid: {reason}") from None


def plan(recipe: Recipe, baseline: str, *, candidates: tuple[str, ...]) -> tuple[Step, ...]:
    """The ladder of a rollout. Raises InvalidInput."""
    if not candidates:
        raise InvalidInput("a rollout needs at least one candidate: name a backend")
    if len(set(candidates)) != len(candidates) or baseline in candidates:
        raise InvalidInput(
            f"the baseline {baseline!r} and the candidates {', '.join(candidates)} must be different backends: "
            "a backend cannot be compared with itself"
        )
    return recipe.ladder(baseline, candidates)


def percent(share: int) -> str:
    """A share as people write it: 500 is 5%, 1 is 0.01%."""
    return f"{share / 100:g}%"


def _baseline(backend: str, answers: int) -> Arm:
    return Arm(backend=backend, role=Role.BASELINE, answers=answers)


def _only(candidates: tuple[str, ...]) -> str:
    if len(candidates) != 1:
        raise InvalidInput(f"this strategy takes exactly one candidate, not {len(candidates)}: {', '.join(candidates)}")
    return candidates[0]


def _check_share(what: str, share: int, *, low: int) -> None:
    if not low <= share <= ALL:
        raise InvalidInput(f"{what} must be from {low} to {ALL} basis points (a basis point is 0.01%), not {share}")


def _check_bake(bake_ms: int) -> None:
    if not 0 <= bake_ms <= _LONGEST_BAKE:
        raise InvalidInput(f"bake_ms must be from 0 to {_LONGEST_BAKE} (366 days), not {bake_ms}")
