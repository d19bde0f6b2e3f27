from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.example import example
from provisioner.errors import UsageError
from provisioner.models import GIB, MIB
from provisioner.settings import Settings, known_keys, load, parse_expiry

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def read(
    flags: dict[str, Any] | None = None,
    toml: str | None = None,
    environ: dict[str, str] | None = None,
) -> Settings:
    if toml is not None:
        Path("workshop.toml").write_text(toml)
    return load(flags or {}, file=None, environ=environ or {})


def test_the_defaults_are_a_small_local_workshop() -> None:
    settings = read()
    assert (settings.name, settings.users, settings.provider) == ("workshop", 3, "local")
    assert [person.username for person in settings.people()] == [
        "user01",
        "user02",
        "user03",
        "instructor",
    ]


def test_flags_win_over_environment_over_file_over_defaults() -> None:
    toml = 'users = 10\nexpires = "9h"\n[participant]\nmemory = "2G"\ncpu = 0.5\n'
    environ = {"PROVISION_USERS": "20", "PROVISION_PARTICIPANT__MEMORY": "3G"}
    settings = read({"users": 30}, toml, environ)
    assert settings.users == 30
    assert settings.participant.memory == 3 * GIB
    assert settings.participant.cpu == 0.5
    assert settings.expires == "9h"
    assert settings.participant.disk == 2 * GIB


def test_folders_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "w.toml"
    file.parent.mkdir()
    file.write_text('[[data]]\nsource = "./tessera"\npath = "/tessera"\n')
    settings = load({}, file=file, environ={})
    assert settings.data_folders()[0].source == tmp_path / "elsewhere" / "tessera"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("images/x.qcow2", "{folder}/images/x.qcow2"),
        ("/srv/x.qcow2", "/srv/x.qcow2"),
        ("https://mirror.example/x.qcow2", "https://mirror.example/x.qcow2"),
        ("http://127.0.0.1:8000/x.qcow2", "http://127.0.0.1:8000/x.qcow2"),
        ("", ""),
    ],
)
def test_a_cloud_image_is_an_address_or_a_file(tmp_path: Path, given: str, meant: str) -> None:
    file = tmp_path / "w.toml"
    file.write_text(f'[network]\ncloud_image = "{given}"\n')
    found = load({}, file=file, environ={}).network.cloud_image
    assert found == meant.format(folder=tmp_path)


BAD = [
    ("usrs = 3", "usrs: is not a key of workshop.toml; did you mean users?"),
    ('memory = "1G"', "memory: is not a key of workshop.toml; did you mean participant.memory?"),
    ("[participant]\nmem = 1", "did you mean participant.memory?"),
    ("users = 0", "users: Input should be greater than or equal to 1"),
    ("users = -4", "users: Input should be greater than or equal to 1"),
    ('users = "many"', "users: Input should be a valid integer"),
    ("users = 2.5", "users: Input should be a valid integer"),
    ('name = "../up"', "'../up' is not a workshop name"),
    ('name = "a/b"', "'a/b' is not a workshop name"),
    ('name = "backups"', "is a folder of provision's own"),
    ('expires = "soon"', "'soon' is neither a duration"),
    ('expires = "1m"', "is over before the workshop could begin"),
    ('expires = "90d"', "is more than 60 days away"),
    ('[participant]\nmemory = "much"', "participant.memory: 'much' is not a size"),
    ('[participant]\nmemory = "1M"', "participant.memory: Input should be greater than"),
    ("[participant]\ncpu = 0", "participant.cpu: Input should be greater than 0"),
    ('[dns]\nhostname = "no_such host"', "dns.hostname: 'no_such host' is not a host name"),
    ('[dns]\nhostname = "-x.example.org"', "is not a host name"),
    ('[local]\nbind = "example.org"', "local.bind: 'example.org' is not an address"),
    ("[local]\nhttps_port = 70000", "local.https_port: Input should be less than"),
    ('[login]\nmode = "none"', "login.mode: Input should be 'personal' or 'shared'"),
    ('[login]\nadmins = ["user02"]', "is a participant's user name"),
    ('[login]\nadmins = ["Dr. X"]', "is not a user name"),
    ('[[data]]\nsource = "s3://b/x"\npath = "/x"', "only folders of this machine"),
    ('[[data]]\nsource = "x"\npath = "/etc/x"', "/etc is the system's"),
    ('[[data]]\nsource = "x"\npath = "x"', "must be an absolute path"),
    ('[environment.variables]\n"A B" = "1"', "is not a name for an environment variable"),
    ('[environment]\napt = ["curl; rm -rf /"]', "environment.apt.0: String should match"),
    ('[environment]\npython = ["a\\n--index-url=x"]', "is not one requirement"),
    ('[local]\nimage = "iso"', "local.image: Input should be 'auto', 'bake' or 'genericcloud'"),
    ('[network]\ncloud_image = "http://mirror.example/x"', "must be an https:// address or a file"),
    ('[network]\ncloud_image = "http://localhost.example/x"', "must be an https:// address"),
    ("users = 3\nusers = 4", "is not TOML"),
]


@pytest.mark.parametrize(("toml", "words"), BAD)
def test_what_is_wrong_is_named_with_its_path(toml: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read(toml=toml)
    assert words in "\n".join([error.value.message, *error.value.details])
    assert error.value.exit_code == 2


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(UsageError) as error:
        read(toml='users = 0\nname = "A"\nexpires = "never"')
    assert len(error.value.details) == 3


def test_a_missing_file_that_was_named_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no configuration file nowhere\.toml"):
        load({}, file=Path("nowhere.toml"), environ={})


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("8h", timedelta(hours=8)),
        ("90m", timedelta(minutes=90)),
        ("1d 4h", timedelta(days=1, hours=4)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2026-11-23T18:00+00:00", timedelta(hours=10)),
        ("2026-11-23T18:00+02:00", timedelta(hours=8)),
    ],
)
def test_deadlines(text: str, after: timedelta) -> None:
    assert parse_expiry(text, now=NOW) == NOW + after


def test_the_example_file_is_valid_and_shows_every_key() -> None:
    text = example("tessera", 30)
    assert read(toml=text).users == 30
    uncommented = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line
        for line in text.replace("# [[", "[[").splitlines()
    )
    settings = read(toml=uncommented)
    assert settings.environment.variables == {"TESSERA_DATA_DIR": "/tessera"}
    for key in known_keys():
        assert key.rsplit(".", 1)[-1] in uncommented, key


def test_the_example_shows_the_real_defaults() -> None:
    text = example("workshop", 3)
    shown = "\n".join(
        line.removeprefix("# ")
        for line in text.splitlines()
        if not any(word in line for word in ("geotessera", "gdal", "TESSERA", "tessera", "[[data"))
        and (not line.startswith("#") or " = " in line)
    )
    assert read(toml=shown) == load({}, file=None, environ={}) == Settings()
    assert Settings().participant.memory == 1024 * MIB
