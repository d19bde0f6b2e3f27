"""What the organiser asked for: flags > environment `PROVISION_*` > workshop.toml > defaults.

The sections' keys stand in sections/. Unknown keys are errors.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
)

from provisioner.environment.files import taken_in
from provisioner.errors import UsageError
from provisioner.models import (
    AwsOptions,
    Culling,
    DataSource,
    DnsOptions,
    Environment,
    HostOptions,
    Limits,
    LocalOptions,
    MaterialsSource,
    Network,
    Person,
    SheetOptions,
    TlsOptions,
)
from provisioner.roster import Entry, Tell, read_roster
from provisioner.seating import participants, seated, spares
from provisioner.sections import (
    AwsSection,
    CullingSection,
    DataSection,
    DnsSection,
    EnvironmentSection,
    HostSection,
    LocalSection,
    LoginSection,
    MaterialsSection,
    NetworkSection,
    NoticeSection,
    ParticipantSection,
    SheetSection,
    TlsSection,
)
from provisioner.workshop_file import read_file

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
RESERVED_NAMES = frozenset({"backups", "certificates"})  # folders of ours beside the workshops'
DEFAULT_EXPIRES = "12h"
QUAY_NOTEBOOK = "quay.io/jupyter/datascience-notebook:2025-12-31"
"""The seed's base image, by date tag: what `base_image = "auto"` means where a registry answers."""


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
    roster: Annotated[tuple[Entry, ...], NoDecode] = ()
    """In workshop.toml and on the command line a CSV file, which `load` reads: its entries are
    recorded with the rest, and a workshop that exists does not change with the file."""
    spare: int = Field(default=0, ge=0, le=1000)
    provider: str = "local"
    expires: str = DEFAULT_EXPIRES
    participant: ParticipantSection = ParticipantSection()
    environment: EnvironmentSection = EnvironmentSection()
    data: tuple[DataSection, ...] = ()
    materials: MaterialsSection = MaterialsSection()
    login: LoginSection = LoginSection()
    culling: CullingSection = CullingSection()
    notice: NoticeSection = NoticeSection()
    sheet: SheetSection = SheetSection()
    prewarm: bool = True
    dns: DnsSection = DnsSection()
    tls: TlsSection = TlsSection()
    local: LocalSection = LocalSection()
    aws: AwsSection = AwsSection()
    host: HostSection = HostSection()
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

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_the_roster(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("roster") and values.get("users") is None:
            return {**values, "users": len(values["roster"])}
        return values

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Settings:
        if self.roster and self.users != len(self.roster):
            raise ValueError(
                f"users: {self.users}, but the roster has {len(self.roster)}; leave users out "
                "(seats for walk-ins are: spare)"
            )
        seats = {person.username for person in self.people() if not person.admin}
        for admin in self.login.admins:
            if admin in seats:
                raise ValueError(f"login.admins: {admin!r} is a participant's user name")
        if self.local.bind in {"0.0.0.0", "::"} and not self.dns.hostname:  # noqa: S104
            raise ValueError(
                f"local.bind = {self.local.bind} listens everywhere, but has no name to type: "
                "--bind with this machine's address in the classroom, or set dns.hostname"
            )
        paths = [folder.path for folder in self.data]
        if len(set(paths)) != len(paths):
            raise ValueError("data: two folders have the same path")
        for outer, inner in itertools.permutations(paths, 2):
            if inner.startswith(f"{outer}/"):
                raise ValueError(f"data: {inner} lies in {outer}, which is read-only: move it out")
        names = [item.variable for item in self.data if item.variable]
        for name in names:
            if names.count(name) > 1 or name in self.environment.variables:
                raise ValueError(f"the variable {name} is set twice: data.variable sets it, too")
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
        """Participants, spare seats and the admins, in the order of the sheet.

        Raises ValueError when the roster asks for a user name that is taken.
        """
        if self.roster:
            people = seated(self.roster, taken=self.login.admins)
        else:
            people = participants(self.users)
        taken = {person.username for person in people}
        walk_ins = spares(self.spare, first_seat=len(people) + 1, taken=taken)
        admins = (Person(seat=name, username=name, admin=True) for name in self.login.admins)
        return (*people, *walk_ins, *admins)

    def limits(self) -> Limits:
        return Limits(**self.participant.model_dump())

    def environment_for(self, base_image: str) -> Environment:
        """`base_image` is what "auto" came to."""
        return Environment(
            base_image=base_image,
            context=self.environment.context(),
            python=self.environment.python,
            constraints=self.environment.constraints,
            apt=self.environment.apt,
            variables=tuple(sorted(self._variables().items())),
        )

    def _variables(self) -> dict[str, str]:
        """Those of shared data say where participants find it."""
        of_data = {item.variable: item.path for item in self.data if item.variable}
        return self.environment.variables | of_data

    def data_sources(self) -> tuple[DataSource, ...]:
        return tuple(DataSource(**item.model_dump()) for item in self.data)

    def materials_source(self) -> MaterialsSource | None:
        return MaterialsSource(**self.materials.model_dump()) if self.materials.source else None

    def culling_options(self) -> Culling:
        return Culling(**self.culling.model_dump())

    def sheet_options(self) -> SheetOptions:
        return SheetOptions(**self.sheet.model_dump())

    def local_options(self) -> LocalOptions:
        return LocalOptions(**self.local.model_dump())

    def aws_options(self) -> AwsOptions:
        return AwsOptions(**self.aws.model_dump())

    def host_options(self) -> HostOptions:
        return HostOptions(**self.host.model_dump())

    def dns_options(self) -> DnsOptions:
        return DnsOptions(**self.dns.model_dump(exclude={"hostname"}))

    def tls_options(self) -> TlsOptions:
        """With "auto" decided."""
        mode = self.tls.mode
        if mode == "auto":
            mode = "internal" if self.dns.provider == "none" else "acme"
        return TlsOptions(**self.tls.model_dump() | {"mode": mode})

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


PLACE = frozenset({"name", "provider", "local", "aws", "host", "dns"})
"""What says where a workshop is, and who keeps its name: enough to find it and to end it."""


def recorded(values: Mapping[str, Any]) -> Settings:
    """Settings of a workshop that exists: its deadline was settled then, and may be over."""
    name = values.get("name", "")
    try:
        return Settings(**{**values, "expires": DEFAULT_EXPIRES})
    except ValidationError as error:
        raise UsageError(
            f"The settings in the record of {name!r} can't be used by this version:",
            details=tuple(_explain(error)),
            hint="the version that launched it can use them"
            f"\nprovision teardown {name} works without them",
        ) from None


def recorded_place(values: Mapping[str, Any]) -> Settings:
    """Like `recorded`, with nothing but what leads to the workshop: the rest has its default."""
    return recorded({key: value for key, value in values.items() if key in PLACE})


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


def load(
    flags: Mapping[str, Any],
    *,
    file: Path | None,
    environ: Mapping[str, str],
    only: Collection[str] | None = None,
    tell: Tell = lambda _: None,
) -> Settings:
    """Merge the four sources and validate. `flags` is nested like the file; None is "not given".

    `file` must exist if it is given; without it ./workshop.toml is read when there is one.
    Relative paths in the file are relative to the file. Raises UsageError with every finding.
    `only` these keys are looked at, the others have their defaults: a workshop that exists is as
    its record says, whatever became of the roster and the other files that made it.
    """
    values = read_file(file)
    _merge(values, _from_environment(_of(environ, only)))
    _merge(values, flags)
    if only is not None:
        values = {key: value for key, value in values.items() if key in only}
    if roster := values.pop("roster", None):
        if not isinstance(roster, str):
            raise UsageError("roster: must be the name of a CSV file")
        values["roster"] = read_roster(Path(roster).expanduser(), tell)
    try:
        values["environment"] = taken_in(values.get("environment", {}))
    except ValueError as error:
        raise UsageError(
            "The workshop's environment can't be made elsewhere:",
            details=tuple(str(error).splitlines()),
            hint="mend that, then type the same command again",
        ) from None
    try:
        return Settings(**values)
    except ValidationError as error:
        raise UsageError(
            "The workshop's settings are not right:",
            details=tuple(_explain(error)),
            hint="provision init --print shows every key with its default",
        ) from None


def _of(environ: Mapping[str, str], only: Collection[str] | None) -> Mapping[str, str]:
    def key(variable: str) -> str:
        return variable.lower().removeprefix("provision_").partition("__")[0]

    return {name: value for name, value in environ.items() if only is None or key(name) in only}


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
