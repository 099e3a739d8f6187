"""What the demonstration's clients count, and the line they print."""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median

_RECENT = 500


@dataclass
class Tally:
    """Counts from the start. `skipped` requests were due while too many were under way."""

    sent: int = 0
    failed: int = 0
    skipped: int = 0
    right: int = 0
    models: Counter[str] = field(default_factory=Counter)
    recent_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    feedback_sent: int = 0
    feedback_failed: int = 0

    @property
    def answered(self) -> int:
        """Answers that were predictions."""
        return self.models.total()

    def count_answer(self, model: str, *, right: bool, seconds: float) -> None:
        self.models[model] += 1
        self.right += right
        self.recent_seconds.append(seconds)

    def line(self) -> str:
        """One line for people."""
        parts = [f"{self.sent} requests", f"{self.answered} answered", f"{self.failed} failed"]
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        if self.answered:
            by_model = ", ".join(f"{model} {count}" for model, count in sorted(self.models.items()))
            parts.append(f"by {by_model}")
            parts.append(f"{100 * self.right / self.answered:.1f} % right")
            parts.append(f"median {1000 * median(self.recent_seconds):.1f} ms")
        feedback = f"feedback: {self.feedback_sent} reported, {self.feedback_failed} failed"
        return f"{' · '.join(parts)} · {feedback}"
