"""The sections of workshop.toml: every key stands here once, with its default and its limits."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from provisioner.sizing import parse_size

USERNAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ByteSize = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParticipantSection(_Section):
    """Hard limits per person, and the basis of sizing."""

    memory: ByteSize = Field(default=1024**3, ge=128 * 1024**2)
    cpu: float = Field(default=1.0, gt=0, le=64)
    disk: ByteSize = Field(default=2 * 1024**3, ge=64 * 1024**2)


class EnvironmentSection(_Section):
    """What is in the notebook image."""

    base_image: str = Field(default="auto", pattern=r"^[A-Za-z0-9._:/@-]*$")
    python: tuple[str, ...] = ()
    apt: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+:=~-]*$")], ...] = ()
    variables: dict[str, str] = Field(default_factory=dict)

    @field_validator("python")
    @classmethod
    def _one_requirement_a_line(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for requirement in value:
            if not requirement.strip() or "\n" in requirement:
                raise ValueError(f"{requirement!r} is not one requirement")
        return value

    @field_validator("variables")
    @classmethod
    def _names_a_shell_takes(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not a name for an environment variable")
        return value


class DataSection(_Section):
    """A folder shared with everybody, read-only."""

    source: str = Field(min_length=1)
    path: str

    @field_validator("source")
    @classmethod
    def _a_folder(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("only folders of this machine can be shared; download it first")
        return value

    @field_validator("path")
    @classmethod
    def _not_in_the_way(cls, value: str) -> str:
        path = PurePosixPath(value)
        if not path.is_absolute() or ".." in path.parts or str(path) == "/" or ":" in value:
            raise ValueError("must be an absolute path such as /tessera")
        if path.parts[1] in {
            "bin",
            "dev",
            "etc",
            "lib",
            "opt",
            "proc",
            "run",
            "sbin",
            "sys",
            "usr",
        }:
            raise ValueError(f"/{path.parts[1]} is the system's; choose a folder such as /tessera")
        return str(path)


class LoginSection(_Section):
    mode: Literal["personal", "shared"] = "personal"
    admins: tuple[str, ...] = ("instructor",)

    @field_validator("admins")
    @classmethod
    def _user_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not USERNAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a user name: a-z, 0-9, - and _, a letter first")
        if len(set(value)) != len(value):
            raise ValueError("names an admin twice")
        return value


class LocalSection(_Section):
    """The virtual machine on this computer."""

    accel: Literal["auto", "kvm", "hvf", "tcg"] = "auto"
    image: Literal["auto", "bake", "genericcloud"] = "auto"
    bind: str = "127.0.0.1"
    https_port: int = Field(default=0, ge=0, le=65535)
    ssh_port: int = Field(default=0, ge=0, le=65535)

    @field_validator("bind")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            return str(ip_address("127.0.0.1" if value == "localhost" else value))
        except ValueError:
            raise ValueError(f"{value!r} is not an address of this machine") from None


class NetworkSection(_Section):
    """Institutions: private CA, mirrors."""

    ca_bundle: str = "auto"
    apt_mirror: str = ""
    pip_index: str = ""
    npm_registry: str = ""
    cloud_image: str = ""

    @field_validator("cloud_image")
    @classmethod
    def _nobody_can_change_it_on_the_way(cls, value: str) -> str:
        """Checksums lie beside the image: whoever can replace one can replace both."""
        scheme, _, rest = value.partition("://")
        loopback = re.match(r"(127\.0\.0\.1|localhost)(:\d+)?/", rest)
        if rest and scheme != "https" and not (scheme == "http" and loopback):
            raise ValueError("must be an https:// address or a file")
        return value


class DnsSection(_Section):
    """Where the workshop is found, and who keeps the record of it."""

    hostname: str = ""
    provider: Literal["none", "manual", "route53", "rfc2136"] = "none"
    zone: str = ""
    ttl: int = Field(default=60, ge=1, le=86_400)
    server: str = ""
    key_file: str = ""
    takeover: bool = False

    @field_validator("hostname")
    @classmethod
    def _a_host_name(cls, value: str) -> str:
        label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
        if value and not (len(value) <= 253 and re.fullmatch(rf"{label}(\.{label})*", value)):
            raise ValueError(f"{value!r} is not a host name such as workshop.example.org")
        return value

    @model_validator(mode="after")
    def _what_belongs_together(self) -> DnsSection:
        if self.provider != "none" and "." not in self.hostname:
            raise ValueError(f"provider {self.provider!r} needs a hostname with its domain")
        if self.provider == "rfc2136" and not self.server:
            raise ValueError("provider 'rfc2136' needs server, the zone's primary")
        return self


class TlsSection(_Section):
    """auto: acme where a DNS provider keeps the name, else internal."""

    mode: Literal["auto", "acme", "internal", "files"] = "auto"
    ca: str = ""
    ca_root: str = ""
    email: str = ""
    staging: bool = False
    eab_key_id: str = ""
    eab_key_file: str = ""
    certificate: str = ""
    key: str = ""

    @field_validator("ca")
    @classmethod
    def _a_directory(cls, value: str) -> str:
        if value and not re.fullmatch(r"https://[^\s{}\"]+", value):
            raise ValueError("must be the https:// address of an ACME directory")
        return value

    @field_validator("email")
    @classmethod
    def _an_email(cls, value: str) -> str:
        if value and not re.fullmatch(r"[^@\s{}\"]+@[^@\s{}\"]+", value):
            raise ValueError(f"{value!r} is not an e-mail address")
        return value

    @field_validator("eab_key_id")
    @classmethod
    def _one_word(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9._~-]+", value):
            raise ValueError(f"{value!r} is not a key id")
        return value

    @model_validator(mode="after")
    def _what_belongs_together(self) -> TlsSection:
        if self.mode == "files" and not (self.certificate and self.key):
            raise ValueError("mode 'files' needs certificate and key")
        if bool(self.eab_key_id) != bool(self.eab_key_file):
            raise ValueError("eab_key_id and eab_key_file go together")
        if self.ca and self.staging:
            raise ValueError("staging is Let's Encrypt's; it does not go with a ca of your own")
        return self


class AwsSection(_Section):
    """One instance in the operator's own AWS account; "" and 0 are chosen for you."""

    region: str = Field(default="", pattern=r"^([a-z]{2}(-[a-z]+)+-\d)?$")
    profile: str = ""
    instance_type: str = Field(default="", pattern=r"^([a-z0-9-]+\.[a-z0-9-]+)?$")
    ami: str = Field(default="", pattern=r"^(ami-[0-9a-f]+)?$")
    subnet: str = Field(default="", pattern=r"^(subnet-[0-9a-f]+)?$")
    ssh_from: str = ""
    disk: Annotated[int, BeforeValidator(parse_size), Field(ge=0)] = 0
    spot: bool = False
    static_ip: bool = False
    instance_profile: str = ""

    @field_validator("ssh_from")
    @classmethod
    def _a_network(cls, value: str) -> str:
        try:
            return str(ip_network(value)) if value else ""
        except ValueError:
            raise ValueError(f"{value!r} is not a network such as 203.0.113.7/32") from None


class HostSection(_Section):
    """An existing Debian or Ubuntu machine that you reach by SSH."""

    address: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+@)?[A-Za-z0-9._:-]*$")
    port: int = Field(default=22, ge=1, le=65535)
