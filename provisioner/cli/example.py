"""`init`: the annotated workshop.toml, which is the documentation of every key at once."""

from __future__ import annotations

from pathlib import Path

from provisioner.cli.output import stderr
from provisioner.errors import UsageError
from provisioner.settings import checked_name

EXAMPLE = """\
# A workshop, as `provision launch` makes it. Every key may be left out; what is commented out
# shows the default. Flags win over PROVISION_* variables, those over this file.

name = "{name}"
users = {users}
# provider = "local"            # a virtual machine on this computer; or "aws", or "host"
# expires = "12h"               # or a time: "2026-11-24T18:00"; then the machine ends itself

[participant]                   # hard limits per person, and what the machine is sized by
# memory = "1G"
# cpu = 1.0
# disk = "2G"

[environment]                   # what is in everybody's notebooks, beside the scientific basics
# base_image = "auto"           # quay.io/jupyter/datascience-notebook where a registry answers,
#                               # else "debian"; or an image of your own
# python = ["geotessera"]
# apt = ["gdal-bin"]
# variables = {{ TESSERA_DATA_DIR = "/tessera" }}

# [[data]]                      # a folder of this computer, read-only for everybody
# source = "./tessera"
# path = "/tessera"

[login]
# mode = "personal"             # or "shared": one password for all participants
# admins = ["instructor"]

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
# cloud_image = ""              # a mirror's URL, or a file, of Debian's genericcloud image
"""


def example(name: str, users: int) -> str:
    return EXAMPLE.format(name=name, users=users)


def write_example(to: Path, *, name: str, users: int, show: bool) -> None:
    try:
        checked_name(name)
    except ValueError as error:
        raise UsageError(f"--name: {error}") from None
    if users < 1:
        raise UsageError("--users: a workshop has at least one participant")
    if show:
        print(example(name, users), end="")
        return
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(example(name, users))
    except FileExistsError:
        raise UsageError(
            f"{to} exists already; it was left as it is", hint="provision init --output OTHER.toml"
        ) from None
    except OSError as error:
        raise UsageError(f"{to} can't be written: {error.strerror}") from None
    stderr.print(f"[green]✓[/] {to} is written. Change what you like, then: provision launch")
