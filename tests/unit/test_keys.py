from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from provisioner import keys
from provisioner.models import Credential, Person, Secret


def test_passwords_can_be_read_aloud_and_typed_on_a_phone() -> None:
    for _ in range(200):
        password = str(keys.new_password())
        assert re.fullmatch(r"[a-z]{4}-[a-z]{4}-[a-z]{4}-[2-9]{2}", password)
        assert not set(password) & set("01lcqxy")


def test_passwords_have_the_entropy_that_is_stated() -> None:
    assert 43 < keys.PASSWORD_BITS < 44
    assert len({str(keys.new_password()) for _ in range(2000)}) == 2000


def test_a_secret_does_not_print_itself() -> None:
    password = keys.new_password()
    assert str(password) not in repr(password)
    assert str(password) not in repr({"a": [password]})


def test_the_hash_is_scrypt_of_the_password_and_salted() -> None:
    first, second = keys.hash_password("tabi"), keys.hash_password("tabi")
    assert first != second
    name, n, r, p, salt, key = first.split("$")
    made = hashlib.scrypt(
        b"tabi", salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), dklen=32
    )
    assert (name, base64.b64encode(made).decode()) == ("scrypt", key)


def test_an_admin_never_has_the_shared_password() -> None:
    people = (Person("1", "user01"), Person("2", "user02"), Person("i", "instructor", admin=True))
    one, two, admin = keys.new_credentials(people, shared=True)
    assert one.password == two.password != admin.password
    personal = keys.new_credentials(people, shared=False)
    assert len({str(item.password) for item in personal}) == 3


@pytest.mark.parametrize("_", range(3))
def test_openssh_takes_the_keys(tmp_path: Path, _: int) -> None:
    pair = keys.new_key_pair()
    path = tmp_path / "key"
    path.write_text(str(pair.private))
    path.chmod(0o600)
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert public.stdout.split()[:2] == pair.public.split()[:2]


def test_a_hash_that_is_right_stays_and_any_other_is_made_anew() -> None:
    people = (Person("1", "user01"), Person("2", "user02"), Person("3", "user03"))
    sheet = tuple(Credential(person, Secret("tabi")) for person in people)
    known = {"user01": keys.hash_password("tabi"), "user02": keys.hash_password("other")}
    made = keys.hashes(sheet, known)
    assert made["user01"] == known["user01"]
    assert made["user02"] != known["user02"]
    assert all(keys.is_password("tabi", stored) for stored in made.values())


@pytest.mark.parametrize("stored", ["", "scrypt", "scrypt$x$8$1$AA==$AA==", "a$1$1$1$!$!"])
def test_what_is_no_hash_admits_nobody(stored: str) -> None:
    assert not keys.is_password("", stored)
