"""An instance as the cloud describes it, and the virtual machine that it becomes here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provisioner.providers.local.arch import host_arch

SUBNET_BITS = 20  # of EC2's default subnets


@dataclass(frozen=True, slots=True)
class Instance:
    """`user_data` is base64, as the EC2 API has it."""

    id: str
    private: str
    public: str = ""
    user_data: str = ""
    type: str = "t3.small"
    region: str = "eu-west-2"
    zone: str = "eu-west-2a"
    hop_limit: int = 1  # of MetadataOptions: how far an answer with a token may travel

    @classmethod
    def told(cls, said: Mapping[str, Any]) -> Instance:
        """From what the fake cloud says to its hooks."""
        return cls(
            id=said["instance_id"],
            private=said["private_address"],
            public=said.get("public_address") or "",
            user_data=said.get("user_data") or "",
            type=said.get("type") or "t3.small",
            region=said.get("region") or "eu-west-2",
            zone=said.get("zone") or "eu-west-2a",
            hop_limit=int(said.get("hop_limit") or 1),
        )

    @property
    def mac(self) -> str:
        digest = hashlib.sha256(self.id.encode()).hexdigest()[:10]
        return ":".join(("02", *(digest[i : i + 2] for i in range(0, 10, 2))))

    @property
    def uuid(self) -> str:
        """Begins with ec2, by which cloud-init and others know where they are."""
        digest = hashlib.sha256(self.id.encode()).hexdigest()
        return f"ec2{digest[:5]}-{digest[5:9]}-{digest[9:13]}-{digest[13:17]}-{digest[17:29]}"

    @property
    def tap(self) -> str:
        return f"tap{self.id[-8:]}"

    @property
    def hostname(self) -> str:
        return f"ip-{self.private.replace('.', '-')}.{self.region}.compute.internal"

    def user_data_bytes(self) -> bytes:
        return base64.b64decode(self.user_data)


@dataclass(frozen=True, slots=True)
class Host:
    """How machines are run here, whatever type the cloud says that they are."""

    accel: str
    cpu: str
    kernel: str
    initrd: str
    disk: str  # the golden image's, which is never written to
    memory: int  # MiB
    cores: int
    cloud: str  # where the cloud hears that a machine switched itself off; "" is nowhere


@dataclass(frozen=True, slots=True)
class Place:
    """The twin's folder: everything that its processes tell each other is a file in it."""

    path: Path

    @property
    def host_file(self) -> Path:
        return self.path / "host.json"

    def host(self) -> Host:
        return Host(**json.loads(self.host_file.read_text()))

    def write_host(self, host: Host) -> None:
        self.host_file.write_text(json.dumps(asdict(host)))

    def home(self, instance_id: str) -> Home:
        return Home(self.path / "instances" / instance_id)

    def instances(self) -> Iterator[Instance]:
        for file in sorted(self.path.glob("instances/*/instance.json")):
            yield Instance(**json.loads(file.read_text()))

    def reservation(self, instance: Instance) -> Path:
        return self.path / "dhcp" / instance.id


@dataclass(frozen=True, slots=True)
class Home:
    """One instance's files."""

    path: Path

    @property
    def disk(self) -> Path:
        return self.path / "disk.qcow2"

    @property
    def serial(self) -> Path:
        return self.path / "serial.log"

    @property
    def qmp(self) -> Path:
        return self.path / "qmp"

    @property
    def pid(self) -> Path:
        """Of the watcher, while there is one."""
        return self.path / "watcher.pid"

    @property
    def ordered(self) -> Path:
        """Exists when the cloud itself ended the machine, which is then no news to it."""
        return self.path / "ordered"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def file(self) -> Path:
        return self.path / "instance.json"

    def exists(self) -> bool:
        """Whether the cloud still has the instance, switched on or off."""
        return self.file.exists()

    def instance(self) -> Instance:
        return Instance(**json.loads(self.file.read_text()))

    def write(self, instance: Instance) -> None:
        """In one step: others read it at any moment."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(asdict(instance)))
        new.replace(self.file)

    def forget(self) -> None:
        """Its logs stay."""
        self.disk.unlink(missing_ok=True)
        self.file.unlink()


def boot(instance: Instance, home: Home, host: Host) -> list[str]:
    """QEMU in the foreground. Ends when the machine is switched off; a reboot goes on."""
    identity = (
        f"type=1,manufacturer=Amazon EC2,product={instance.type},"
        f"uuid={instance.uuid},serial={instance.uuid}"
    )
    disk = {
        "driver": "qcow2",
        "node-name": "root",
        "discard": "unmap",
        "file": {"driver": "file", "filename": str(home.disk), "discard": "unmap"},
    }
    arguments = (
        f"root=/dev/vda rootfstype=ext4 rw console={host_arch().console}"
        " panic=10 net.ifnames=0 mitigations=off"
    )
    return [
        *(host_arch().qemu, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-name", f"guest=twin:{instance.id}", "-machine", host_arch().machine),
        *("-accel", host.accel, "-cpu", host.cpu),
        *("-smp", str(host.cores), "-m", f"{host.memory}M"),
        *("-smbios", identity),
        *("-kernel", host.kernel, "-initrd", host.initrd, "-append", arguments),
        *("-blockdev", json.dumps(disk), "-device", "virtio-blk-pci,drive=root"),
        *("-netdev", f"tap,id=net,ifname={instance.tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net,mac={instance.mac},romfile="),
        *("-device", "virtio-rng-pci"),
        *("-chardev", f"file,id=serial,append=on,path={home.serial}", "-serial", "chardev:serial"),
        *("-qmp", f"unix:{home.qmp},server=on,wait=off"),
    ]
