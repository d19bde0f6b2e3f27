"""A zone in a JSON file with two name servers, one of which can lag. For tests and rehearsals."""

from __future__ import annotations

import json
from pathlib import Path

from provisioner.dns import marks
from provisioner.errors import NotYet
from provisioner.models import Findings, Resource

SERVERS = ("ns1.fake.test", "ns2.fake.test")

Names = dict[str, dict[str, str]]  # host name → {"address", "id"}; "id" is missing by other hands


class FakeDns:
    """`folder` holds the zone, so that every process sees the same."""

    name = "fake"

    def __init__(self, folder: Path, *, takeover: bool = False) -> None:
        self._folder, self._takeover = folder, takeover

    def check(self, hostname: str, workshop_id: str) -> Findings:
        if sentence := self._somebody_else(hostname, workshop_id):
            return (marks.taken(sentence, takeover=self._takeover),)
        return ()

    def point(self, hostname: str, address: str, workshop_id: str) -> None:
        sentence = self._somebody_else(hostname, workshop_id)
        if sentence and not self._takeover:
            raise marks.refusal(sentence)
        self.put(hostname, {"address": address, "id": workshop_id})

    def settled(self, hostname: str, address: str) -> None:
        for server in SERVERS:
            found = self.names(server).get(hostname, {}).get("address", "no address")
            if found != address:
                raise NotYet(f"{server} says of {hostname}: {found}")

    def clear(self, hostname: str, workshop_id: str) -> None:
        if self.names().get(hostname, {}).get("id") == workshop_id:
            self.put(hostname, {})

    def leftovers(self, hostname: str, workshop_id: str) -> list[Resource]:
        if self.names().get(hostname, {}).get("id") != workshop_id:
            return []
        return [Resource("DNS record", hostname, f"rm {self._file(SERVERS[0])}")]

    def names(self, server: str = SERVERS[0]) -> Names:
        """The zone as `server` knows it."""
        try:
            found: Names = json.loads(self._file(server).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def put(self, hostname: str, record: dict[str, str]) -> None:
        """Write as anybody could; an empty record deletes."""
        names = {**self.names(), hostname: record}
        self._write(SERVERS[0], {name: each for name, each in names.items() if each})
        if not self._lag.exists():
            self.catch_up()

    def lag(self) -> None:
        """From now on the second server hears of nothing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lag.touch()

    def catch_up(self) -> None:
        self._lag.unlink(missing_ok=True)
        self._write(SERVERS[1], self.names())

    @property
    def _lag(self) -> Path:
        return self._folder / "lag"

    def _file(self, server: str) -> Path:
        return self._folder / f"{server}.zone"

    def _write(self, server: str, names: Names) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        staging = self._file(server).with_suffix(".new")
        staging.write_text(json.dumps(names), encoding="utf-8")
        staging.replace(self._file(server))

    def _somebody_else(self, hostname: str, workshop_id: str) -> str:
        found = self.names().get(hostname)
        if found is None or found.get("id") == workshop_id:
            return ""
        held = [marks.mark_value(found["id"])] if "id" in found else []
        return marks.whose(hostname, [found["address"]], held)
