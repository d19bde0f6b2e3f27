"""Keys, passwords and their hashes. Everything random in this program is made here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioner.models import Credential, Person, Secret

CONSONANTS = "bdfghjkmnprstvwz"  # no c/k, l/1/I, q, x, y: one sound each in most languages
VOWELS = "aeiou"
DIGITS = "23456789"  # no 0/O, no 1/l
_GROUPS, _SYLLABLES, _NUMBERS = 3, 2, 2

PASSWORD_BITS = _GROUPS * _SYLLABLES * math.log2(len(CONSONANTS) * len(VOWELS)) + (
    _NUMBERS * math.log2(len(DIGITS))
)
"""Entropy of one password: 43.9 bits; the hub throttles guesses to about one a minute a name."""

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1  # 16 MiB and tens of milliseconds a login


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 pair in OpenSSH's own formats. `public` is one line without a comment."""

    private: Secret
    public: str


def new_workshop_id() -> str:
    return str(uuid.uuid4())


def new_key_pair() -> KeyPair:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return KeyPair(Secret(private.decode()), public.decode())


def new_password() -> Secret:
    """Three pronounceable groups and a number, such as "tabi-reku-mofa-87".

    Can be read aloud and typed on a phone: lower case, hyphens, no ambiguous characters.
    """
    groups = [
        "".join(secrets.choice(CONSONANTS) + secrets.choice(VOWELS) for _ in range(_SYLLABLES))
        for _ in range(_GROUPS)
    ]
    number = "".join(secrets.choice(DIGITS) for _ in range(_NUMBERS))
    return Secret("-".join([*groups, number]))


def new_credentials(people: tuple[Person, ...], *, shared: bool) -> tuple[Credential, ...]:
    """One password a person; `shared` gives all but the admins the same one.

    An admin can enter everybody's server, so an admin's password is never the shared one.
    """
    common = new_password()
    return tuple(
        Credential(person, common if shared and not person.admin else new_password())
        for person in people
    )


def hash_password(password: str) -> str:
    """`scrypt$N$r$p$salt$key`, base64: what the server gets in place of the password."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=32)
    parts = (base64.b64encode(salt).decode(), base64.b64encode(key).decode())
    return f"scrypt${SCRYPT_N}${SCRYPT_R}${SCRYPT_P}${parts[0]}${parts[1]}"


def is_password(password: str, stored: str) -> bool:
    """Whether `stored` is what `hash_password` made of it; False too for what is no such hash."""
    try:
        kind, n, r, p, salt, key = stored.split("$")
        wanted = base64.b64decode(key, validate=True)
        made = hashlib.scrypt(
            password.encode(),
            salt=base64.b64decode(salt, validate=True),
            n=int(n),
            r=int(r),
            p=int(p),
            dklen=len(wanted),
        )
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(made, wanted)


def hashes(credentials: tuple[Credential, ...], known: Mapping[str, str]) -> dict[str, str]:
    """User name → hash. One that is `known` and right stays as it is: nothing changes for them."""

    def hashed(item: Credential) -> str:
        stored = known.get(item.person.username, "")
        return stored if is_password(item.password, stored) else hash_password(item.password)

    with ThreadPoolExecutor() as threads:  # scrypt lets go of the interpreter
        made = threads.map(hashed, credentials)
        return {item.person.username: text for item, text in zip(credentials, made, strict=True)}
