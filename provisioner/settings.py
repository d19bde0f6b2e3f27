"""What the organiser asked for: flags > environment `PROVISION_*` > workshop.toml > defaults.

Every key of workshop.toml stands here once, with its default. Unknown keys are errors.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from provisioner.errors import UsageError
from provisioner.models import DataFolder, Environment, Limits, LocalOptions, Network, Person
from provisioner.sizing import parse_size

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
RESERVED_NAMES = frozenset({"backups"})  # folders of ours beside the workshops'
USERNAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DEFAULT_EXPIRES = "12h"
QUAY_NOTEBOOK = "quay.io/jupyter/datascience-notebook:2025-12-31"
"""The seed's base image, by date tag: what `base_image = "auto"` means where a registry answers."""

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


class DnsSection(_Section):
    """Where the workshop is found. A local workshop has an address and no record to set."""

    hostname: str = ""
    provider: Literal["none"] = "none"

    @field_validator("hostname")
    @classmethod
    def _a_host_name(cls, value: str) -> str:
        label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
        if value and not (len(value) <= 253 and re.fullmatch(rf"{label}(\.{label})*", value)):
            raise ValueError(f"{value!r} is not a host name such as workshop.example.org")
        return value


class TlsSection(_Section):
    mode: Literal["internal"] = "internal"


class Settings(BaseSettings):
    """One workshop, as asked for. `load` reads it; nothing else in the program reads TOML."""

    model_config = {
        "extra": "forbid",
        "frozen": True,
        "env_prefix": "PROVISION_",
        "env_nested_delimiter": "__",
    }

    name: str = "workshop"
    users: int = Field(default=3, ge=1, le=100_000)
    provider: str = "local"
    expires: str = DEFAULT_EXPIRES
    participant: ParticipantSection = ParticipantSection()
    environment: EnvironmentSection = EnvironmentSection()
    data: tuple[DataSection, ...] = ()
    login: LoginSection = LoginSection()
    dns: DnsSection = DnsSection()
    tls: TlsSection = TlsSection()
    local: LocalSection = LocalSection()
    network: NetworkSection = NetworkSection()

    @field_validator("name")
    @classmethod
    def _a_name(cls, value: str) -> str:
        return checked_name(value)

    @field_validator("expires")
    @classmethod
    def _a_deadline(cls, value: str) -> str:
        parse_expiry(value, now=datetime.now(UTC))
        return value

    @model_validator(mode="after")
    def _nobody_twice(self) -> Settings:
        seats = {person.username for person in self.people() if not person.admin}
        for admin in self.login.admins:
            if admin in seats:
                raise ValueError(f"login.admins: {admin!r} is a participant's user name")
        paths = [folder.path for folder in self.data]
        if len(set(paths)) != len(paths):
            raise ValueError("data: two folders have the same path")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` merges the sources, so that their order is in one place

    def people(self) -> tuple[Person, ...]:
        """Participants user01 … and the admins, in the order of the sheet."""
        width = max(2, len(str(self.users)))
        participants = tuple(
            Person(seat=str(number), username=f"user{number:0{width}}")
            for number in range(1, self.users + 1)
        )
        return participants + tuple(
            Person(seat=name, username=name, admin=True) for name in self.login.admins
        )

    def limits(self) -> Limits:
        return Limits(**self.participant.model_dump())

    def environment_for(self, base_image: str) -> Environment:
        """`base_image` is what "auto" came to."""
        return Environment(
            base_image=base_image,
            python=self.environment.python,
            apt=self.environment.apt,
            variables=tuple(sorted(self.environment.variables.items())),
        )

    def data_folders(self) -> tuple[DataFolder, ...]:
        return tuple(DataFolder(Path(item.source), item.path) for item in self.data)

    def local_options(self) -> LocalOptions:
        return LocalOptions(**self.local.model_dump())

    def network_options(self) -> Network:
        return Network(**self.network.model_dump())


def checked_name(value: str) -> str:
    """A workshop's name, which is also a folder's and a machine's. Raises ValueError."""
    if not NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a workshop name: 1 to 40 of a-z, 0-9 and -, such as tessera-2026"
        )
    if value in RESERVED_NAMES:
        raise ValueError(f"{value!r} is a folder of provision's own; choose another name")
    return value


_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m(?:in)?)?", re.IGNORECASE)


def parse_expiry(text: str, *, now: datetime) -> datetime:
    """When the workshop ends, in UTC: "8h", "1d 4h", "90m", or a time such as 2026-11-24T18:00.

    A time without a zone is this machine's own. Raises ValueError if it isn't 5 minutes away yet
    or is more than 60 days off: a forgotten machine is what a deadline is for.
    """
    text = text.strip()
    match = _DURATION.fullmatch(text)
    if match and any(match.groups()):
        days, hours, minutes = (int(part or 0) for part in match.groups())
        try:
            when = now + timedelta(days=days, hours=hours, minutes=minutes)
        except OverflowError:
            raise ValueError(f"{text!r} is too far away") from None
    else:
        try:
            when = datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            raise ValueError(
                f"{text!r} is neither a duration (8h, 1d, 90m) nor a time (2026-11-24T18:00)"
            ) from None
    if when < now + timedelta(minutes=5):
        raise ValueError(f"{text!r} is over before the workshop could begin")
    if when > now + timedelta(days=60):
        raise ValueError(f"{text!r} is more than 60 days away")
    return when.astimezone(UTC)


def load(flags: Mapping[str, Any], *, file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Merge the four sources and validate. `flags` is nested like the file; None is "not given".

    `file` must exist if it is given; without it ./workshop.toml is read when there is one.
    Relative paths in the file are relative to the file. Raises UsageError with every finding.
    """
    values = _read(file)
    _merge(values, _from_environment(environ))
    _merge(values, flags)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise UsageError(
            "The workshop's settings are not right:",
            details=tuple(_explain(error)),
            hint="provision init --print shows every key with its default",
        ) from None


def _read(file: Path | None) -> dict[str, Any]:
    path = file or Path("workshop.toml")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise UsageError(
            f"There is no configuration file {file}", hint=f"provision init --output {file}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    _anchor(values, path.resolve().parent)
    return values


def _anchor(values: dict[str, Any], folder: Path) -> None:
    data = values.get("data")
    for item in data if isinstance(data, list) else []:
        source = item.get("source") if isinstance(item, dict) else None
        if isinstance(source, str) and "://" not in source:
            item["source"] = str(folder / Path(source).expanduser())


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {
        key.lower(): value for key, value in environ.items() if key.startswith("PROVISION_")
    }
    try:
        return dict(source())
    except Exception as error:  # pydantic-settings wraps whatever its parser raised
        raise UsageError(f"A PROVISION_* environment variable is not right: {error}") from None


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, Mapping):
            into[key] = {}
            _merge(into[key], value)
        elif value is not None:
            into[key] = value


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key of workshop.toml, dotted."""
    for name, info in model.model_fields.items():
        yield prefix + name
        kinds = [info.annotation, *get_args(info.annotation)]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from known_keys(kind, f"{prefix}{name}.")


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "is not a key of workshop.toml" + _nearest(path)
        yield f"{path}: {message}" if path else message


def _nearest(path: str) -> str:
    plain = re.sub(r"\.\d+\b", "", path)
    known = list(known_keys())
    last = plain.rsplit(".", 1)[-1]
    elsewhere = [key for key in known if key.rsplit(".", 1)[-1] == last]
    near = elsewhere or difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
