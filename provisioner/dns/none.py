"""Nobody keeps the name: participants use the address, or a name that leads there already."""

from __future__ import annotations

from provisioner.models import Findings, Resource


class NoDns:
    name = "none"

    def check(self, hostname: str, workshop_id: str) -> Findings:
        return ()

    def point(self, hostname: str, address: str, workshop_id: str) -> None: ...

    def settled(self, hostname: str, address: str) -> None: ...

    def clear(self, hostname: str, workshop_id: str) -> None: ...

    def leftovers(self, hostname: str, workshop_id: str) -> list[Resource]:
        return []
