"""Shared data that is not the operator's own folder: where it is, what there is, how to get it."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.models import DataSource, Download, Link, Secret


class Sources:
    """See protocols.Downloads. `profile` is of the operator's AWS configuration."""

    def __init__(self, *, profile: str = "") -> None:
        self._profile = profile

    def listing(self, source: DataSource) -> tuple[Download, ...]:
        if source.source.startswith("s3://"):
            from provisioner.sources import s3

            return s3.listing(source.source, profile=self._profile)
        from provisioner.sources import https

        return (https.look(source.source, source.sha256),)

    def links(self, source: DataSource, wanted: Sequence[Download]) -> tuple[Link, ...]:
        if source.source.startswith("s3://"):
            from provisioner.sources import s3

            return s3.links(source.source, wanted, profile=self._profile)
        return tuple(Link(Secret(source.source)) for _ in wanted)
