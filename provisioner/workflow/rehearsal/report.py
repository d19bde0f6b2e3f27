"""A rehearsal as a document: what `--json` prints, and what page and terminal are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from provisioner.visits import Stage, Visit
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.measures import Spread, spreads
from provisioner.workflow.rehearsal.slowness import COLD, WARM
from provisioner.workflow.rehearsal.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Peaks:
    """Of the machine; shares of one, bytes, bytes a second. None: nobody knows."""

    cpu: float
    cpu_mean: float
    memory: int
    memory_of: int
    cores: int
    disk: float  # a second, read and written
    network: float


def peaks(seen: Evidence) -> Peaks | None:
    samples = seen.load.samples()
    if not samples:
        return None
    return Peaks(
        cpu=max(item.cpu for item in samples),
        cpu_mean=sum(item.cpu for item in samples) / len(samples),
        memory=seen.load.peak_memory(),
        memory_of=seen.load.memory,
        cores=seen.load.cores,
        disk=max(item.disk for item in samples),
        network=max(item.network for item in samples),
    )


def document(seen: Evidence, verdict: Verdict) -> dict[str, Any]:
    """Times in seconds, sizes in bytes."""
    found = peaks(seen)
    return {
        "name": seen.name,
        "verdict": verdict.word,
        "reasons": [
            {
                "what": reason.what,
                "change": reason.change,
                "evidence": list(reason.evidence),
                "warning": reason.warning,
            }
            for reason in verdict.reasons
        ],
        "people": len(seen.visits),
        "at_once": seen.held,
        "failed": len(seen.failed),
        "from": seen.where,
        "notebook": seen.notebook,
        "hold": seen.hold,
        "seconds": seen.seconds,
        "emulated": seen.patience > 1,
        "thresholds": {
            threshold.name: {"p95": threshold.most * seen.patience, "why": threshold.why}
            for threshold in (COLD, WARM)
        },
        "stages": [_spread(spread) for spread in spreads(seen.visits)],
        "machine": found
        and {
            "cores": found.cores,
            "cpu_peak": round(found.cpu, 3),
            "cpu_mean": round(found.cpu_mean, 3),
            "memory": found.memory_of,
            "memory_peak": found.memory,
            "disk_peak_per_second": round(found.disk),
            "network_peak_per_second": round(found.network),
            "disks": {
                where: {"size": size, "used": used}
                for where, (size, used) in seen.load.fullest().items()
            },
            "killed_for_memory": dict(seen.killed),
        },
        "crowd": seen.effort
        and {
            "cpu_peak": seen.effort.cpu_peak,
            "cpu_mean": seen.effort.cpu_mean,
            "late": seen.effort.late,
        },
        "participants": [_visit(seen, visit) for visit in seen.visits],
        "not_disturbed": sorted(seen.busy),
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "stage": spread.name,
        "count": spread.count,
        "p50": spread.p50,
        "p95": spread.p95,
        "max": spread.most,
    }


def _visit(seen: Evidence, visit: Visit) -> dict[str, Any]:
    failure = visit.failure
    return {
        "username": visit.username,
        "temporary": visit.username in seen.guests,
        "prewarmed": visit.username in seen.warm,
        "to_first_cell": visit.until(Stage.CELL),
        "total": visit.until(Stage.NOTEBOOK),
        "memory": seen.used.get(visit.username),
        "stages": {
            span.stage: {"start": round(span.start, 3), "end": round(span.end, 3)}
            for span in visit.spans
        },
        "failure": failure
        and {"cause": failure.cause, "words": failure.words, "cell": failure.cell or None},
    }
