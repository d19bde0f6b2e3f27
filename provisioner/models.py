"""The words of this program: frozen values without behaviour beyond their own arithmetic.

Units: memory and disk in bytes, CPU in cores, times as aware UTC datetimes, durations in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Secret(str):
    """A string that does not print itself: `repr`, logs and tracebacks show dots.

    `str(secret)` and formatting give the text, so use it only where it must be sent or stored.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('…')"


class Phase(StrEnum):
    """How far a workshop has come, as its record says. Order is the order of events."""

    PREPARING = "preparing"  # record, keys and credentials exist; nothing else does
    CREATING = "creating"  # the provider may have been asked for a machine
    BOOTING = "booting"  # the machine exists; we wait for SSH and cloud-init
    STARTING = "starting"  # secrets are pushed; the bundle starts
    READY = "ready"  # a participant ran a cell
    STOPPED = "stopped"  # paused by the organiser; everything is kept
    FAILED = "failed"  # not ready in time; kept for inspection
    EXPIRED = "expired"  # the deadline passed and the machine ended itself


class ServerState(StrEnum):
    PENDING = "pending"  # asked for; it may not have an address yet
    RUNNING = "running"
    STOPPED = "stopped"  # it exists but is powered off


@dataclass(frozen=True, slots=True)
class Limits:
    """What one participant may use at most."""

    memory: int
    cpu: float
    disk: int


@dataclass(frozen=True, slots=True)
class Size:
    """What the machine has."""

    memory: int
    cores: int
    disk: int


@dataclass(frozen=True, slots=True)
class Person:
    """One who logs in. `seat` is what stands on the slip: "1", "2", … or "instructor"."""

    seat: str
    username: str
    admin: bool = False
    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    person: Person
    password: Secret


@dataclass(frozen=True, slots=True)
class DataSource:
    """Shared read-only with everybody. `source` is a folder of the operator's, https:// or s3://."""

    source: str
    path: str  # where participants see it
    sha256: str = ""  # of what https:// gives
    variable: str = ""  # an environment variable that says `path`


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the server fetches itself."""

    path: str  # where it goes, relative to the data's own folder
    size: int | None = None  # bytes; None: nobody says
    mtime: int = 0  # nanoseconds since 1970
    version: str = ""  # what its keeper calls this state of it
    key: str = ""  # what its keeper calls it
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a download is to be had for a while. `header` goes with the request."""

    address: Secret
    header: str = ""


@dataclass(frozen=True, slots=True)
class MaterialsSource:
    """Notebooks of which everybody gets a writable copy: a git repository, or a folder."""

    source: str
    branch: str = ""  # "": the repository's own default
    folder: str = ""  # in everybody's home; "": named after the source


@dataclass(frozen=True, slots=True)
class Checkout:
    """A repository's branch as it was fetched."""

    branch: str
    commit: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Culling:
    """When servers are stopped, in seconds; 0 is never."""

    idle: float = 0.0
    max_age: float = 0.0


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """What stands on the printed cards, beside the credentials."""

    title: str = ""
    start: str = ""
    wifi: str = ""
    wifi_password: str = ""
    paper: str = "A4"  # or Letter
    cards: int = 8  # a page; or 10


@dataclass(frozen=True, slots=True)
class Environment:
    """What is in the notebook image. `base_image` "" means: the Debian base that we make."""

    base_image: str = ""
    context: tuple[tuple[str, bytes], ...] = ()  # an own Dockerfile and what lies beside it
    python: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()  # pip's: versions of what is installed anyway
    apt: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """What an institution's network asks of us. `ca_bundle`: "auto", "" (none) or a PEM file."""

    ca_bundle: str = "auto"
    apt_mirror: str = ""
    pip_index: str = ""
    npm_registry: str = ""
    reach: tuple[str, ...] = ()  # private networks that participants' code may reach
    cloud_image: str = ""  # URL or file of a Debian genericcloud image; "": Debian's own


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Choices of the local provider."""

    accel: str = "auto"  # auto | kvm | hvf | tcg
    bind: str = "127.0.0.1"
    https_port: int = 0  # 0: the first free one from 8443
    ssh_port: int = 0  # 0: the first free one from 2222
    image: str = "auto"  # auto | bake | genericcloud


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """Choices of the aws provider; "" and 0 mean that it chooses."""

    region: str = ""
    profile: str = ""
    instance_type: str = ""
    ami: str = ""
    subnet: str = ""
    ssh_from: str = ""  # CIDR that may reach port 22; "" is the operator's own address
    disk: int = 0  # bytes of the root volume
    spot: bool = False
    static_ip: bool = False
    instance_profile: str = ""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """An existing machine, as OpenSSH's user@address, and its port."""

    address: str = ""
    port: int = 22


@dataclass(frozen=True, slots=True)
class DnsOptions:
    """How the workshop's name is kept. Files hold secrets, which therefore stand nowhere else."""

    provider: str = "none"  # none | manual | route53 | rfc2136
    zone: str = ""  # "": the longest zone that holds the host name
    ttl: int = 60  # seconds
    server: str = ""  # rfc2136: the primary's host or address, with :port if not 53
    key_file: str = ""  # rfc2136: the TSIG key as tsig-keygen writes it
    takeover: bool = False  # replace a record that another one made


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Where the certificate comes from. Paths are files of the operator's machine."""

    mode: str = "internal"  # internal | acme | files
    ca: str = ""  # ACME directory; "" is Let's Encrypt
    ca_root: str = ""  # PEM: what the ACME directory's own certificate is verified with
    email: str = ""
    staging: bool = False
    eab_key_id: str = ""
    eab_key_file: str = ""  # holds the base64url HMAC key
    certificate: str = ""  # mode files: PEM chain, leaf first
    key: str = ""  # mode files: PEM


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files that participants' world is made of, and the key of the images built from them.

    `files` maps a path below /opt/provision/bundle to its bytes. `image_key` is a hash over
    everything that goes into the container images (not over settings read at run time).
    """

    files: tuple[tuple[str, bytes], ...]
    image_key: str


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything a provider needs to make one machine; equal specs make equal machines."""

    id: str  # unique per workshop, never reused
    name: str
    folder: Path  # the workshop's own folder on the operator's side, 0700
    size: Size
    user_data: bytes  # gzip
    bundle: Bundle
    environment: Environment
    network: Network
    expires_at: datetime
    owner: str = ""  # who launched it, for people who read tags
    hostname: str = ""  # "": participants use the address
    local: LocalOptions = field(default_factory=LocalOptions)
    aws: AwsOptions = field(default_factory=AwsOptions)
    host: HostOptions = field(default_factory=HostOptions)


@dataclass(frozen=True, slots=True)
class Server:
    """A machine that exists. Hosts and ports are as seen from the operator."""

    id: str  # the provider's own name for it
    state: ServerState
    address: str  # what goes into DNS, or where participants reach it; "" while there is none
    ssh_host: str
    ssh_port: int
    https_port: int = 443
    slow: bool = False  # emulated: budgets are stretched, usual times are longer
    why: str = ""  # the provider's own reason for a state that nobody asked for
    ended: bool = False  # it won't come back, and its disk is gone; shown for `why`
    about: tuple[tuple[str, str], ...] = ()  # facts worth showing: accelerator, image, log files


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a preflight check. `hint` is what to type or change."""

    severity: Severity
    subject: str
    message: str
    hint: str = ""


Findings = tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that exists because of a workshop. `remove` is the command that ends it."""

    kind: str
    id: str
    remove: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A workshop seen in the world rather than in a record."""

    id: str
    name: str
    state: ServerState
    details: str = ""
    region: str = ""
    hostname: str = ""  # whose record leads to it
    created_at: datetime | None = None
    expires_at: datetime | None = None
    hourly: float | None = None  # US dollars


@dataclass(frozen=True, slots=True)
class Marked:
    """A host name whose record a workshop made."""

    hostname: str
    workshop_id: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What a machine costs. `reasons` are lines that explain the choice, for `plan`."""

    machine: str  # the provider's name for its kind, such as m7i.2xlarge
    hourly: float  # US dollars, disk and address included
    as_of: str  # the day of the price list, ISO 8601
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """A golden image: a disk with Docker and the workshop's container images inside."""

    key: str
    path: Path
    size: int  # bytes on disk
    created_at: datetime
    in_use_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a command on the server answered."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0
