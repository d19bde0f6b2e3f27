from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.example import example
from provisioner.errors import UsageError
from provisioner.models import GIB, MIB
from provisioner.settings import (
    PLACE,
    Settings,
    known_keys,
    load,
    parse_expiry,
    recorded,
    recorded_place,
)

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
    assert settings.data_sources()[0].source == str(tmp_path / "elsewhere" / "tessera")


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
    ("[participant]\nmemory = 1.5", "participant.memory: 1.5 is not a size"),
    ("[participant]\nmemory = [1]", "participant.memory: [1] is not a size"),
    ("[participant]\nmemory = true", "participant.memory: True is not a size"),
    (f'[participant]\nmemory = "{"9" * 400}G"', "is not a size"),
    ("[culling]\nidle = inf", "culling.idle: Input should be a finite number"),
    ("[culling]\nidle = nan", "culling.idle: Input should be"),
    (f"[culling]\nidle = {'9' * 400}", "culling.idle: is longer than anything lasts"),
    ('[participant]\nmemory = "1M"', "participant.memory: Input should be greater than"),
    ("[participant]\ncpu = 0", "participant.cpu: Input should be greater than 0"),
    ('[dns]\nhostname = "no_such host"', "dns.hostname: 'no_such host' is not a host name"),
    ('[dns]\nhostname = "-x.example.org"', "is not a host name"),
    ('[local]\nbind = "example.org"', "local.bind: 'example.org' is not an address"),
    ("[local]\nhttps_port = 70000", "local.https_port: Input should be less than"),
    ('[login]\nmode = "none"', "login.mode: Input should be 'personal' or 'shared'"),
    ('[login]\nadmins = ["user02"]', "is a participant's user name"),
    ('[login]\nadmins = ["Dr. X"]', "is not a user name"),
    ('[[data]]\nsource = "s3://b/x"\npath = "/x"', "is not s3://bucket/prefix"),
    ('[[data]]\nsource = "https://example.org/x"\npath = "/x"', "needs its sha256"),
    (f'[[data]]\nsource = "https://h/"\npath = "/x"\nsha256 = "{"0" * 64}"', "names no file"),
    ('[[data]]\nsource = "http://example.org/x"\npath = "/x"', "a folder, https:// or s3://"),
    ('[[data]]\nsource = "x"\npath = "/etc/x"', "/etc is the system's"),
    ('[[data]]\nsource = "x"\npath = "x"', "must be an absolute path"),
    ('[environment.variables]\n"A B" = "1"', "is not a name for an environment variable"),
    ('[environment]\napt = ["curl; rm -rf /"]', "environment.apt.0: String should match"),
    ('[environment]\npython = ["a\\n--index-url=x"]', "is not one requirement"),
    ('[local]\nimage = "iso"', "local.image: Input should be 'auto', 'bake' or 'genericcloud'"),
    ('[network]\ncloud_image = "http://mirror.example/x"', "must be an https:// address or a file"),
    ('[network]\ncloud_image = "http://localhost.example/x"', "must be an https:// address"),
    ("users = 3\nusers = 4", "is not TOML"),
    ('[network]\npip_index = "https://me:secret@pip.example.org/"', "all participants could read"),
    ('[network]\nnpm_registry = "https://token@npm.example.org/"', "all participants could read"),
    ('[network]\napt_mirror = "http://me:secret@mirror.example/"', "all participants could read"),
    ('[network]\npip_index = "http://pip.example.org/simple"', "must be an https:// address"),
    ('[network]\nnpm_registry = "npm.example.org"', "must be an https:// address"),
    ('[network]\napt_mirror = "ftp://mirror.example/"', "must be an https:// or http:// address"),
    ('[materials]\nsource = "https://ghp_x@github.com/a/b.git"', "holds a password or a token"),
    ('[materials]\nsource = "https://a:b@github.com/a/b.git"', "holds a password or a token"),
    (
        f'[[data]]\nsource = "https://a:b@h.example/x"\npath = "/x"\nsha256 = "{"0" * 64}"',
        "holds a name or a password",
    ),
    ('[[data]]\nsource = "x"\npath = "/tmp"', "/tmp is the system's"),
    ('[[data]]\nsource = "x"\npath = "/var/data"', "/var is the system's"),
    ('[[data]]\nsource = "x"\npath = "/home/jovyan/data"', "/home is the system's"),
    (
        '[[data]]\nsource = "x"\npath = "/maps/more"\n[[data]]\nsource = "y"\npath = "/maps"',
        "data: /maps/more lies in /maps",
    ),
    ('[sheet]\nwifi = "g"\nwifi_password = "two  spaces"', "nobody can read that from paper"),
]


def test_mirrors_and_sources_that_need_no_secret_pass() -> None:
    toml = (
        '[network]\napt_mirror = "http://deb.example/debian"\n'
        'pip_index = "http://127.0.0.1:3141/simple"\nnpm_registry = "https://npm.example/"\n'
        '[materials]\nsource = "ssh://git@example.org/a.git"\n'
        '[[data]]\nsource = "x"\npath = "/maps"\n[[data]]\nsource = "y"\npath = "/maps2"\n'
    )
    assert read(toml=toml).network.apt_mirror == "http://deb.example/debian"


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


ROSTER = "Name;E-mail\nAda Lovelace;ada@example.org\nGrace Hopper;\n"


def test_a_roster_says_who_comes_and_spare_seats_go_on_from_there(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "w.toml"
    file.parent.mkdir()
    (file.parent / "people.csv").write_text(ROSTER)
    file.write_text('roster = "people.csv"\nspare = 2\n')
    settings = load({}, file=file, environ={})
    assert settings.users == 2
    assert [(item.seat, item.username, item.name) for item in settings.people()] == [
        ("1", "ada-lovelace", "Ada Lovelace"),
        ("2", "grace-hopper", "Grace Hopper"),
        ("3", "spare01", ""),
        ("4", "spare02", ""),
        ("instructor", "instructor", ""),
    ]
    assert settings.people()[0].email == "ada@example.org"


def test_what_was_recorded_of_a_roster_needs_no_file() -> None:
    Path("people.csv").write_text(ROSTER)
    settings = read({"roster": "people.csv"})
    values = json.loads(json.dumps(settings.model_dump(mode="json")))
    Path("people.csv").unlink()
    assert recorded(values).people() == settings.people()


def test_a_roster_from_the_environment() -> None:
    Path("people.csv").write_text(ROSTER)
    assert read(environ={"PROVISION_ROSTER": "people.csv"}).users == 2


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('users = 3\nroster = "people.csv"', "users: 3, but the roster has 2"),
        ('roster = "none.csv"', "There is no roster"),
        ("roster = 3", "roster: must be the name of a CSV file"),
        ('roster = ["people.csv"]', "roster: must be the name of a CSV file"),
        ("spare = -1", "spare: Input should be greater than or equal to 0"),
        ('roster = "taken.csv"', "Jo: the user name 'instructor' is taken"),
        ('spare = 1\n[login]\nadmins = ["spare01"]', "is a participant's user name"),
    ],
)
def test_rosters_that_contradict_the_rest(toml: str, words: str) -> None:
    Path("people.csv").write_text(ROSTER)
    Path("taken.csv").write_text("name,username\nJo,instructor\n")
    with pytest.raises(UsageError) as error:
        read(toml=toml)
    assert words in "\n".join([error.value.message, *error.value.details])


def test_no_users_but_as_many_as_the_roster_has_is_no_contradiction() -> None:
    Path("people.csv").write_text(ROSTER)
    assert read({"roster": "people.csv", "users": 2}).users == 2


BROKEN = """
name = "tessera"
provider = "aws"
roster = "gone.csv"
typo = 3
[aws]
region = "eu-west-2"
[environment]
dockerfile = "gone/"
requirements = ["gone.txt"]
[participant]
memory = "much"
"""


def test_to_find_a_workshop_nothing_is_read_but_where_it_is() -> None:
    Path("workshop.toml").write_text(BROKEN)
    environ = {"PROVISION_ROSTER": "gone.csv", "PROVISION_AWS__PROFILE": "teaching"}
    found = load({}, file=None, environ=environ, only=PLACE)
    assert (found.name, found.provider, found.aws.region) == ("tessera", "aws", "eu-west-2")
    assert found.aws.profile == "teaching"
    with pytest.raises(UsageError):
        load({}, file=None, environ={})


def test_a_record_of_another_version_says_which_and_how_to_end_it() -> None:
    values = {"name": "tessera", "provider": "aws", "typo": 3, "aws": {"region": "eu-west-2"}}
    with pytest.raises(UsageError) as error:
        recorded(values)
    assert "'tessera'" in error.value.message
    assert "provision teardown tessera" in error.value.hint
    assert recorded_place(values).aws.region == "eu-west-2"
