"""What goes wrong, when, and how: scripts which a test gives beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.cloud.call import Call

EFFECTS = {
    "error": "refused with `error`, nothing done",
    "drop": "nothing done, the connection closed without an answer",
    "lost": "done, then the connection closed without an answer",
    "hang": "nothing done, the connection held for `seconds`, then closed",
    "stuck": "done, the connection held for `seconds`, then closed",
    "late": "held for `seconds`, then done and answered",
    "fails": "RunInstances: answered as usual, the instance ends with the reason `error`",
}


@dataclass
class Fault:
    action: str  # an API action, or "*"
    effect: str = "error"
    error: str | None = None
    message: str | None = None
    status: int | None = None
    nth: int = 1  # the first of the matching calls, from now on, that it meets
    times: int | None = 1  # how many of them it meets; None: all
    when: dict[str, str] = field(
        default_factory=dict
    )  # parameters, and: zone service region mutating
    seconds: float = 3600.0
    seen: int = 0

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise ValueError(f"effect {self.effect!r} is none of {', '.join(EFFECTS)}")
        if self.effect in ("error", "fails") and not self.error:
            raise ValueError(f"the effect {self.effect!r} needs an `error`")

    def matches(self, call: Call) -> bool:
        if self.action not in ("*", call.action):
            return False
        if call.dry and not (self._meets_dry_runs or "DryRun" in self.when):
            return False
        known = call.params | call.facts | {"service": call.service, "region": call.region}
        known["mutating"] = str(call.mutating).lower()
        return all(
            known.get(name) == value
            or (name == "zone" and str(known.get("zone", "")) == call.region + value)
            for name, value in self.when.items()
        )

    @property
    def _meets_dry_runs(self) -> bool:
        """They find out about permissions and parameters, not about capacity and quotas."""
        error = self.error or ""
        limits = error.endswith("LimitExceeded") and error != "RequestLimitExceeded"
        scarce = error.startswith("Insufficient") or error == "Unsupported"
        return self.effect == "error" and not limits and not scarce

    def strikes(self, call: Call) -> bool:
        """Counts the call if it matches; whether it is one of those to be met."""
        if not self.matches(call):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


def striking(faults: list[Fault], call: Call) -> Fault | None:
    """Every script counts the call; the first one it is for decides."""
    return next(iter([fault for fault in faults if fault.strikes(call)]), None)
