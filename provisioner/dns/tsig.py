"""The key that a zone's primary knows us by, from a file as `tsig-keygen` writes it.

The secret never shows: not in a representation, not in a message.
"""

from __future__ import annotations

import binascii
import re
import stat
from pathlib import Path

import dns.name
import dns.tsig

from provisioner.errors import Refused
from provisioner.models import Finding, Findings, Secret, Severity

COMMENT = re.compile(r'("[^"]*")|/\*.*?\*/|//[^\n]*|#[^\n]*', re.DOTALL)
"""The first group is a string, which is none: base64 may hold two slashes."""
KEY = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{([^}]*)\}')
FIELD = re.compile(r'(algorithm|secret)\s+"?([^"\s;]+)"?\s*;')

SUPPORTED = frozenset(
    {
        dns.tsig.HMAC_SHA1,
        dns.tsig.HMAC_SHA224,
        dns.tsig.HMAC_SHA256,
        dns.tsig.HMAC_SHA384,
        dns.tsig.HMAC_SHA512,
    }
)


class Key(dns.tsig.Key):
    def __repr__(self) -> str:
        return f"<TSIG key {self.name}>"


def read_key(path: Path) -> Key:
    """Raises Refused when there is no such file or no key in it."""
    hint = f"tsig-keygen NAME > {path}, and have the zone's primary know that key"
    try:
        text = Secret(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The TSIG key can't be read: {error}", hint=hint) from None
    for name, body in KEY.findall(COMMENT.sub(r"\1", text)):
        fields = dict(FIELD.findall(body))
        if "secret" not in fields:
            continue
        algorithm = dns.name.from_text(fields.get("algorithm", "hmac-sha256"))
        if algorithm not in SUPPORTED:
            raise Refused(f"{path} asks for {algorithm}, which is no HMAC of TSIG", hint=hint)
        try:
            return Key(name, binascii.a2b_base64(fields["secret"], strict_mode=True), algorithm)
        except binascii.Error:
            raise Refused(f"The secret in {path} is not base64", hint=hint) from None
    raise Refused(f"{path} holds no TSIG key", hint=hint)


def check_privacy(path: Path) -> Findings:
    """A warning when others on this machine can read the key."""
    if not path.exists() or not path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return ()
    message = f"others on this machine can read the TSIG key {path}"
    return (Finding(Severity.WARNING, "dns", message, f"chmod 600 {path}"),)
