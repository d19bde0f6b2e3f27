"""The image of one workshop's machine: which kind it is, whether it is there, and having it."""

from __future__ import annotations

from provisioner.models import LocalOptions, Network, Spec
from provisioner.protocols import Reporter
from provisioner.providers.local import accel, bake, choice, genericcloud, image, preflight, trust
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.choice import Kind
from provisioner.providers.local.folder import VmFolder
from provisioner.providers.local.image import Golden, Store
from provisioner.providers.local.running import Runner


class Selection:
    """Over one store of images. What the network says is asked once."""

    def __init__(self, store: Store, run: Runner) -> None:
        self._store, self._run = store, run
        self._obstacles: dict[genericcloud.Original, str] = {}

    def kind(self, spec: Spec) -> Kind:
        """What this workshop's machine starts, or was started, from."""
        if own := self._own(spec):
            return Kind.GENERICCLOUD if own.boots_itself else Kind.BAKE
        return self.decide(spec.local, spec.network, baked=self._baked(spec).exists())

    def decide(self, local: LocalOptions, network: Network, *, baked: bool = False) -> Kind:
        """The kind of a machine that is not made yet."""

        def obtainable() -> bool:
            here = genericcloud.find(self._store, genericcloud.original(network, host_arch()))
            return here is not None or not self._why_not(network)

        return choice.decide(
            local.image, baked=baked, can_bake=choice.can_bake(), obtainable=obtainable
        )

    def golden(self, spec: Spec, kind: Kind) -> Golden | None:
        """The image, if it is there."""
        if kind is Kind.BAKE:
            return baked if (baked := self._baked(spec)).exists() else None
        wanted = genericcloud.original(spec.network, host_arch())
        return self._own(spec) or genericcloud.find(self._store, wanted)

    def obstacle(self, spec: Spec) -> str:
        """Why there is no cloud image, where one would do and none of any kind is there; or ""."""
        asked = spec.local.image
        would_do = asked == Kind.GENERICCLOUD or (asked == "auto" and not choice.can_bake())
        there = self.golden(spec, self.kind(spec)) is not None
        return self._why_not(spec.network) if would_do and not there else ""

    def make(self, spec: Spec, reporter: Reporter) -> Golden:
        """The image, made or downloaded now unless it is there. Raises Refused."""
        if self.kind(spec) is Kind.BAKE:
            return bake.bake(self._store, self._recipe(spec), spec.bundle, reporter)
        if own := self._own(spec):  # a newer one is for the next machine
            return own
        if not accel.choose(spec.local.accel, host_arch(), self._run).native:
            reporter.warn(preflight.SLOW_BUILD)
        wanted = genericcloud.original(spec.network, host_arch())
        return genericcloud.fetch(self._store, spec.network, wanted, reporter)

    def _recipe(self, spec: Spec) -> image.Recipe:
        return image.recipe(spec, host_arch(), trust.private_authorities(spec.network))

    def _baked(self, spec: Spec) -> Golden:
        return self._store.golden(self._recipe(spec).key)

    def _own(self, spec: Spec) -> Golden | None:
        """The image that an existing machine stands on, whatever a new one would get."""
        folder = VmFolder(spec.folder / "vm")
        owner = folder.owner() if folder.owner_file.exists() else None
        golden = self._store.golden(owner.image) if owner else None
        return golden if golden and golden.exists() else None

    def _why_not(self, network: Network) -> str:
        wanted = genericcloud.original(network, host_arch())
        if wanted not in self._obstacles:
            self._obstacles[wanted] = genericcloud.why_not(network, wanted)
        return self._obstacles[wanted]
