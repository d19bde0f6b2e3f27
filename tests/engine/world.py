"""For people: `python -m tests.engine.world up`, and while it runs `rebuild` or `sh` elsewhere.

up       build, boot and launch a workshop from this tree; ends at Ctrl-C
rebuild  build the images of this tree as it is now, and have the running workshop use them
sh       a root shell on the machine, or a command: sh -- docker ps
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from provisioner.cli.output import ConsoleReporter, print_error
from provisioner.errors import ProvisionError
from provisioner.render import commands
from provisioner.render.userdata import machine_files
from provisioner.settings import recorded
from provisioner.store import Folder, Store
from provisioner.workflow import planning
from tests.engine import cache
from tests.engine.machine import ABOUT, Engine, inside
from tests.engine.provider import EngineProvider, placed
from tests.engine.template import Template
from tests.engine.workshop import Workshop, any_size, launched, settings, why_not


def up(name: str, *, keep: bool, users: int) -> int:
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 3
    reporter = ConsoleReporter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    engine = Engine(name)
    try:
        start = time.monotonic()
        try:
            workshop = Workshop(
                engine, *launched(engine, settings(name=name, users=users), reporter)
            )
        except ProvisionError as error:
            print_error(error)
            if not (keep and engine.running):
                return error.exit_code
            print(f"kept for a look: python -m tests.engine.world sh --name {name}")
        else:
            print(f"ready after {time.monotonic() - start:.1f} s")
            describe(workshop)
        print("Ctrl-C ends it", flush=True)
        while engine.running:
            time.sleep(1)
    except KeyboardInterrupt:
        print()
    finally:
        engine.stop(keep=keep)
    return 0


def describe(workshop: Workshop) -> None:
    engine, folder = workshop.engine, workshop.folder
    print(f"url      {workshop.url}   (CA: {folder.ca})")
    for credential in workshop.credentials.values():
        print(f"login    {credential.person.username} {credential.password!s}")
    print(f"https    127.0.0.1:{engine.https_port}")
    print(f"folder   {engine.folder}   (PROVISION_HOME: {workshop.tools.store.home})")
    hosts = f"-o UserKnownHostsFile={folder.known_hosts}"
    print(f"ssh      ssh -p {engine.ssh_port} -i {folder.ssh_key} {hosts} provision@127.0.0.1")
    print(f"root     python -m tests.engine.world sh --name {engine.name}")


def running(name: str) -> tuple[Path, int]:
    """Its folder and its process 1. Exits when there is none of that name."""
    for file in (cache.root() / "machines").glob(f"*/{ABOUT}"):
        known = json.loads(file.read_text())
        if known["name"] == name and Path(f"/proc/{known['first']}").exists():
            return file.parent, known["first"]
    sys.exit(f"no world {name!r} runs here: python -m tests.engine.world up --name {name}")


def rebuild(name: str) -> int:
    folder, first = running(name)
    start = time.monotonic()

    def on_machine(command: str, stdin: Any = None) -> str:
        argv = inside(first, "sh", "-c", command)
        return subprocess.run(argv, stdin=stdin, capture_output=True, text=True, check=True).stdout

    store = Store(folder / "home")
    record = store.load(name)
    assert record is not None
    at = Folder(store.home / name)
    provider = EngineProvider.__new__(EngineProvider)  # only its name and abilities are asked
    with any_size():
        spec = planning.respec(record, recorded(record.settings), at, provider)
    have = on_machine("docker image ls --quiet --no-trunc").split()
    try:
        template = Template(spec.network)
        built = template.build(spec.bundle, ConsoleReporter(), have=have, keep=folder)
    except ProvisionError as error:
        print_error(error)
        return error.exit_code
    if built.archive:
        with built.archive.open("rb") as archive:
            on_machine("docker load", stdin=archive)
        built.archive.unlink()
    for image, id_ in built.ids.items():
        on_machine(f"docker tag {id_} provision-{image}:{spec.bundle.image_key}")
    keep = {"/opt/provision/injected-host-key.pub"}
    files = [*machine_files(""), *placed(spec.bundle)]
    for file in (file for file in files if file.path not in keep):
        content = file.content.encode()
        command = commands.write_file(file.path, len(content), file.mode)
        subprocess.run(inside(first, "sh", "-c", command), input=content, check=True)
    on_machine("chmod -R a+rX /opt/provision/bundle && systemctl restart provision-stack.service")
    took = time.monotonic() - start
    print(f"rebuilt after {took:.1f} s; participants' servers run on as they are")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.engine.world",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=["up", "rebuild", "reload", "sh"])
    parser.add_argument("--name", default="world")
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--keep", action="store_true", help="its files stay when it ends")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    asked, command = parser.parse_args(words[:end]), words[end + 1 :]
    if asked.verb == "up":
        return up(asked.name, keep=asked.keep, users=asked.users)
    if asked.verb == "sh":
        argv = inside(running(asked.name)[1], *(command or ["bash"]))
        os.execvp(argv[0], argv)
    return rebuild(asked.name)


if __name__ == "__main__":
    sys.exit(main())
