"""The annotated workshop.toml, which is the documentation of every key at once; `init` fills it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.errors import UsageError

EXAMPLE = """\
# A workshop, as `provision launch` makes it. Every key may be left out; what is commented out
# shows the default. Flags win over PROVISION_* variables, those over this file.

# name = "workshop"
# users = 3
# roster = ""                   # instead: a CSV file of name,email; user names come from the names
# spare = 0                     # seats for people who just walk in
# provider = "local"            # a virtual machine on this computer; or "aws", or "host"
# expires = "12h"               # or a time: "2026-11-24T18:00"; then the machine ends itself
# prewarm = true                # everybody's server is started at the launch; nobody waits

[participant]                   # hard limits per person, and what the machine is sized by
# memory = "1G"
# cpu = 1.0
# disk = "2G"

[environment]                   # what is in everybody's notebooks, beside the scientific basics
# base_image = "auto"           # quay.io/jupyter/datascience-notebook where a registry answers,
#                               # else "debian"; or an image of your own
# dockerfile = ""               # instead: a Dockerfile of yours, or a folder that has one
# requirements = []             # files such as "requirements.txt", beside what python says
# python = ["geotessera"]
# constraints = []              # pip's: versions of what is installed anyway, such as "numpy<2"
# apt = ["gdal-bin"]
# variables = { TESSERA_DATA_DIR = "/tessera" }

# [[data]]                      # read-only for everybody: a folder of this computer, https://, s3://
# source = "./tessera"
# path = "/tessera"
# sha256 = ""                   # of an https:// source, such as https://example.org/tessera.tif
# variable = "TESSERA"          # an environment variable that says the path

[materials]                     # notebooks: everybody gets a writable copy
# source = ""                   # a git address, or a folder of this computer
# branch = ""                   # else the repository's own default
# folder = ""                   # in everybody's home; else named after the source

[login]
# mode = "personal"             # or "shared": one password for all participants
# admins = ["instructor"]

[culling]                       # when servers of participants are stopped; their files stay
# idle = "off"                  # after so long without anybody there, such as "2h"
# max_age = "off"               # after so long in any case

[notice]
# before = ["30m", "5m"]        # how long before the end every open Lab is told of it

[sheet]                         # what stands on the printed cards, beside the credentials
# title = ""                    # else the workshop's name
# start = ""                    # else how to begin, in a sentence or two
# wifi = ""                     # the room's network
# wifi_password = ""
# paper = "A4"                  # or "Letter"
# cards = 8                     # a page; or 10

[local]
# accel = "auto"                # kvm, hvf, tcg
# image = "auto"                # "bake": made here, needs root; "genericcloud": Debian's download
# bind = "127.0.0.1"            # this computer's address in the classroom
# https_port = 0                # 0: the first free one from 8443
# ssh_port = 0                  # 0: the first free one from 2222

[aws]                           # provider = "aws": one instance in your own account
# region = ""                   # else that of your profile or environment
# profile = ""
# instance_type = ""            # else the cheapest that fits
# ami = ""                      # else Debian 13
# subnet = ""                   # else one of the default VPC
# ssh_from = ""                 # a network such as "203.0.113.7/32"; else your own address
# disk = 0                      # else sized by people; or "200G"
# spot = false                  # cheaper, and may be taken away
# static_ip = false             # one address for good, paid while it exists
# instance_profile = ""

[host]                          # provider = "host": a Debian or Ubuntu machine that you have
# address = ""                  # user@address, as for ssh
# port = 22

[dns]
# hostname = ""                 # what participants type
# provider = "none"             # who keeps it: "route53", "rfc2136", "manual"; none: nobody
# zone = ""                     # else the longest that holds the name
# ttl = 60
# server = ""                   # rfc2136: the zone's primary
# key_file = ""                 # rfc2136: the TSIG key, as tsig-keygen writes it
# takeover = false              # replace a record that another one made

[tls]
# mode = "auto"                 # "acme" where a DNS provider keeps the name, else "internal":
#                               # the workshop's own authority; or "files"
# ca = ""                       # an ACME directory; else Let's Encrypt
# ca_root = ""                  # PEM: what to verify that directory and the site with
# email = ""
# staging = false
# eab_key_id = ""               # external account binding, as some institutions' CAs ask
# eab_key_file = ""
# certificate = ""              # files: PEM, the leaf first
# key = ""

[network]                       # institutions: private CA, mirrors
# ca_bundle = "auto"            # what this computer trusts beyond the public CAs; "" or a file
# apt_mirror = ""
# pip_index = ""
# npm_registry = ""
# reach = []                    # private networks for participants' code: ["10.1.0.0/16"]
# cloud_image = ""              # a mirror's URL, or a file, of Debian's genericcloud image
"""

_SECTION = re.compile(r"\[(\w+)\]")
_KEY = re.compile(r"# (\w+) = [^#]*?(\s*#.*)?$")
_COMMENT_AT = 32  # the column


def filled(values: Mapping[str, Any]) -> str:
    """EXAMPLE with some keys set: `values` maps dotted keys to text, numbers or lists of text."""
    left, section, lines = dict(values), "", []
    for line in EXAMPLE.splitlines():
        if found := _SECTION.match(line):
            section = f"{found[1]}."
        elif line.startswith("# [["):
            section = "[["  # tables that may repeat are not filled
        found = _KEY.match(line)
        key = section + found[1] if found else ""
        if found and key in left:
            said, comment = f"{found[1]} = {in_toml(left.pop(key))}", (found[2] or "").strip()
            line = f"{said:<{_COMMENT_AT - 1}} {comment}" if comment else said
        lines.append(line)
    if left:
        raise ValueError(f"EXAMPLE has no line for {', '.join(left)}")
    return "\n".join(lines) + "\n"


def in_toml(value: Any) -> str:
    """TOML's strings, numbers and arrays are JSON's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def example(name: str, users: int) -> str:
    return filled({"name": name, "users": users})


def refuse_existing(to: Path) -> None:
    if to.exists():
        raise UsageError(
            f"{to} exists already; it was left as it is", hint="provision init --output OTHER.toml"
        )


def write_new(to: Path, text: str) -> None:
    """Raises UsageError when there is such a file, or none can be made."""
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse_existing(to)
    except OSError as error:
        raise UsageError(f"{to} can't be written: {error.strerror}") from None
