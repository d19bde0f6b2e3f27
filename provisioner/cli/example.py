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
# provider = "local"            # a virtual machine on this computer
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
# bind = "127.0.0.1"            # this computer's address in the classroom
# https_port = 0                # 0: the first free one from 8443
# ssh_port = 0                  # 0: the first free one from 2222

[dns]
# hostname = ""                 # a name that already points at `bind`
# provider = "none"

[tls]
# mode = "internal"             # the workshop's own certificate authority

[network]                       # institutions: private CA, mirrors
# ca_bundle = "auto"            # what this computer trusts beyond the public CAs; "" or a file
# apt_mirror = ""
# pip_index = ""
# npm_registry = ""
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
