"""Where the workshop runs and is found: machines, names, certificates, networks."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from provisioner.sections.base import Section
from provisioner.sizing import parse_size

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class LocalSection(Section):
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


class NetworkSection(Section):
    """Institutions: private CA, mirrors."""

    ca_bundle: str = "auto"
    apt_mirror: str = ""
    pip_index: str = ""
    npm_registry: str = ""
    reach: tuple[str, ...] = ()
    cloud_image: str = ""

    @field_validator("reach")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Participants have no IPv6."""
        try:
            return tuple(str(IPv4Network(network)) for network in value)
        except ValueError as error:
            raise ValueError(f"{error}; an example is 10.1.0.0/16") from None

    @field_validator("pip_index", "npm_registry", "apt_mirror")
    @classmethod
    def _a_mirror(cls, value: str, info: ValidationInfo) -> str:
        """It stands in files that everybody can read, as in participants' /etc/pip.conf."""
        if not value:
            return value
        place = urlsplit(value)
        if "@" in place.netloc:
            raise ValueError("holds a user's name or a password, which all participants could read")
        plain = info.field_name == "apt_mirror" or place.hostname in LOOPBACK
        allowed = ("https", "http") if plain else ("https",)  # apt verifies signatures itself
        if place.scheme not in allowed or not place.hostname:
            raise ValueError(f"must be an {' or '.join(f'{word}://' for word in allowed)} address")
        return value

    @field_validator("cloud_image")
    @classmethod
    def _nobody_can_change_it_on_the_way(cls, value: str) -> str:
        """Checksums lie beside the image: whoever can replace one can replace both."""
        scheme, _, rest = value.partition("://")
        loopback = re.match(r"(127\.0\.0\.1|localhost)(:\d+)?/", rest)
        if rest and scheme != "https" and not (scheme == "http" and loopback):
            raise ValueError("must be an https:// address or a file")
        return value


class DnsSection(Section):
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


class TlsSection(Section):
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


class AwsSection(Section):
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


class HostSection(Section):
    """An existing Debian or Ubuntu machine that you reach by SSH."""

    address: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+@)?[A-Za-z0-9._:-]*$")
    port: int = Field(default=22, ge=1, le=65535)
