"""What about this cloud can be chosen, by a test or on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

IMAGES = Path(__file__).with_name("images.json")  # the only ones there are, in moto's form


@dataclass
class Settings:
    pending: float = 0.3  # seconds an instance takes to start
    stopping: float = 0.2
    ending: float = 0.3  # shutting-down
    insync: float = 0.2  # seconds until a DNS change is everywhere
    unseen_calls: int = 0  # describe calls which do not know a new instance or group yet
    unseen_seconds: float = 0.0
    unseen_by: str = "reads"  # or "all": other calls naming it fail too
    vcpus: int = 64  # quota L-1216C47A, which is enforced
    addresses: int = 5  # quota L-0263D0A3, which is enforced
    lose_tags: bool = False  # terminated instances lose their tags
    forget: float | None = None  # seconds after which a terminated instance is not described
    public_address: str | None = None  # every instance gets this one
    on_run: str | None = None
    on_end: str | None = None
