"""What participants get: their share, their software, data and materials, and the way in."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from provisioner.environment import dockerfile, files, requirements
from provisioner.sections.base import ByteSize, Duration, Section

USERNAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class ParticipantSection(Section):
    """Hard limits per person, and the basis of sizing."""

    memory: ByteSize = Field(default=1024**3, ge=128 * 1024**2)
    cpu: float = Field(default=1.0, gt=0, le=64)
    disk: ByteSize = Field(default=2 * 1024**3, ge=64 * 1024**2)


class EnvironmentSection(Section):
    """What is in the notebook image.

    In workshop.toml `dockerfile` is a file, or a folder that has one; `requirements` are files.
    Both are read when the settings are, so that a workshop that exists does not change with them:
    here `dockerfile` is file name → content, and `python` has what the files asked for.
    """

    base_image: str = Field(default="auto", pattern=r"^[A-Za-z0-9._:/@-]*$")
    dockerfile: dict[str, str] | Literal[""] = ""
    requirements: tuple[str, ...] = Field(default=(), max_length=0)
    python: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    apt: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+:=~-]*$")], ...] = ()
    variables: dict[str, str] = Field(default_factory=dict)

    @field_validator("python", "constraints")
    @classmethod
    def _one_requirement_a_line(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for requirement in value:
            if not requirement.strip() or "\n" in requirement:
                raise ValueError(f"{requirement!r} is not one requirement")
            requirements.check(requirement)
        return value

    @field_validator("dockerfile")
    @classmethod
    def _a_folder(cls, value: dict[str, str] | Literal[""]) -> dict[str, str] | Literal[""]:
        if value:
            dockerfile.prepared(dict(files.decoded(value)))
        return value

    @field_validator("variables")
    @classmethod
    def _names_a_shell_takes(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not a name for an environment variable")
        return value

    @model_validator(mode="after")
    def _one_base(self) -> EnvironmentSection:
        if self.dockerfile and self.base_image != "auto":
            raise ValueError("base_image is what the dockerfile says in FROM: give one of the two")
        return self

    def context(self) -> tuple[tuple[str, bytes], ...]:
        """The Dockerfile's folder: name → content."""
        return files.decoded(self.dockerfile) if self.dockerfile else ()


SYSTEM_FOLDERS = frozenset(
    [
        "bin",
        "boot",
        "dev",
        "lost+found",
        "etc",
        "home",
        "lib",
        "lib64",
        "opt",
        "proc",
        "root",
        "run",
        "sbin",
        "srv",
        "sys",
        "tmp",
        "usr",
        "var",
    ]
)


class DataSection(Section):
    """Shared with everybody, read-only: a folder, https:// with its sha256, or s3://."""

    source: str = Field(min_length=1)
    path: str
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    variable: str = ""

    @field_validator("path")
    @classmethod
    def _not_in_the_way(cls, value: str) -> str:
        path = PurePosixPath(value)
        if not path.is_absolute() or ".." in path.parts or str(path) == "/" or ":" in value:
            raise ValueError("must be an absolute path such as /tessera")
        if path.parts[1] in SYSTEM_FOLDERS:
            raise ValueError(f"/{path.parts[1]} is the system's; choose a folder such as /tessera")
        return str(path)

    @field_validator("variable")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if value and not VARIABLE.fullmatch(value):
            raise ValueError(f"{value!r} is not a name for an environment variable")
        return value

    @model_validator(mode="after")
    def _what_belongs_together(self) -> DataSection:
        scheme = self.source.partition("://")[0] if "://" in self.source else ""
        if scheme not in {"", "https", "s3"}:
            raise ValueError(f"{self.source!r}: a folder, https:// or s3:// can be shared")
        if scheme == "https" and not self.sha256:
            raise ValueError(f"{self.source!r} needs its sha256, so that everybody gets that file")
        place = urlsplit(self.source)
        if scheme == "https" and not (place.hostname and place.path.rpartition("/")[2]):
            raise ValueError(f"{self.source!r} names no file")
        if scheme == "https" and "@" in place.netloc:
            raise ValueError(
                "source holds a name or a password, which would stand in the workshop's record: "
                "share a file that needs none, s3://, or a folder"
            )
        if scheme == "s3" and not BUCKET.fullmatch(place.netloc):
            raise ValueError(f"{self.source!r} is not s3://bucket/prefix")
        if scheme != "https" and self.sha256:
            raise ValueError("sha256 goes with an https:// source")
        return self


class MaterialsSection(Section):
    """Notebooks: everybody gets a writable copy. `source` is a git repository or a folder."""

    source: str = ""
    branch: str = Field(default="", pattern=r"^[A-Za-z0-9._/-]*$")
    folder: str = Field(default="", pattern=r"^([A-Za-z0-9_][A-Za-z0-9._ -]{0,99})?$")

    @field_validator("source")
    @classmethod
    def _a_source(cls, value: str) -> str:
        """Nothing that could be changed on the way, and no secret in a file or a process list."""
        place = urlsplit(value) if "://" in value else None
        if value.startswith("-"):
            raise ValueError(f"{value!r} is neither a repository nor a folder")
        if place and place.scheme not in {"https", "ssh", "file"}:
            raise ValueError(f"{place.scheme}:// can't be trusted: use https://, ssh or a folder")
        if place and (place.password is not None or (place.scheme == "https" and place.username)):
            raise ValueError(
                "holds a password or a token: let git's credential helper keep it, and give the "
                "address without anything before an @"
            )
        return value

    @field_validator("branch")
    @classmethod
    def _a_branch(cls, value: str) -> str:
        if value.startswith(("-", "/")) or ".." in value:
            raise ValueError(f"{value!r} is not the name of a branch")
        return value

    @model_validator(mode="after")
    def _what_belongs_together(self) -> MaterialsSection:
        if not self.source and (self.branch or self.folder):
            raise ValueError("branch and folder need a source")
        return self


class LoginSection(Section):
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


class CullingSection(Section):
    """When servers of participants are stopped: seconds; 0 is never, as a lecture needs it."""

    idle: Duration = 0.0
    max_age: Duration = 0.0  # 0: the workshop's own length


class NoticeSection(Section):
    """When every open Lab is told that the end is near: seconds before the deadline."""

    before: tuple[Duration, ...] = (1800.0, 300.0)


class SheetSection(Section):
    """What stands on the printed cards, beside the credentials."""

    title: str = Field(default="", max_length=80)
    start: str = Field(default="", max_length=200)
    wifi: str = Field(default="", max_length=80)
    wifi_password: str = Field(default="", max_length=80)
    paper: Literal["A4", "Letter"] = "A4"
    cards: Literal[8, 10] = 8

    @field_validator("wifi_password")
    @classmethod
    def _can_be_read_from_paper(cls, value: str) -> str:
        if value != " ".join(value.split()) or not value.isprintable():
            raise ValueError(
                "has spaces at an end or several together, or what can't be seen: nobody can read "
                "that from paper"
            )
        return value

    @field_validator("paper", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        known = {"a4": "A4", "letter": "Letter"}
        return known.get(value.strip().lower(), value) if isinstance(value, str) else value

    @field_validator("cards", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        """Environment variables are text."""
        return int(value) if isinstance(value, str) and value.strip().isdecimal() else value

    @model_validator(mode="after")
    def _what_belongs_together(self) -> SheetSection:
        if self.wifi_password and not self.wifi:
            raise ValueError("wifi_password needs wifi, the network's name")
        return self
