"""`Engine`: one machine, from its folder to its end.

    host's network ── outside (router, internet) ── machine (Docker, sshd, participants)

Everything of it lives in namespaces whose first processes die with ours, however we end.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from provisioner.errors import NotReady
from provisioner.models import Bundle, Network, Result
from provisioner.protocols import Reporter
from provisioner.render.userdata import File
from tests.engine import cache, network
from tests.engine.template import GUEST, Template

ROOT = Path(__file__).parents[2]
DIE_TOGETHER = ("setpriv", "--pdeathsig", "KILL", "--")

ABOUT = "world.json"
"""In a machine's folder, for `world.py` and others that did not start it."""

DOCKER = """\
[Service]
ExecStart=/usr/sbin/dockerd --host=unix:///run/docker.sock --cgroup-parent={group}
ExecReload=/bin/kill -HUP $MAINPID
ExecStartPost=/bin/sh -c 'n=0; until docker version > /dev/null 2>&1; do n=$((n + 1)); \
[ $n -lt 600 ] || exit 1; sleep 0.1; done'
"""
SSH = """\
[Service]
ExecStart=/usr/sbin/sshd -D -e
ExecReload=/bin/kill -HUP $MAINPID
"""


class Engine:
    """`folder` holds all that the machine wrote; `ssh_port` and `https_port` are on 127.0.0.1."""

    def __init__(self, name: str = "engine") -> None:
        self.name = name
        self.folder, self._lock = cache.new_machine(name)
        for part in ("root", "upper", "work"):
            (self.folder / part).mkdir(mode=0o755)
        self.template: Template | None = None
        self._listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.ssh_port, self.https_port = (one.getsockname()[1] for one in self._listening)
        self._outside: subprocess.Popen[str] | None = None
        self._machine: subprocess.Popen[str] | None = None
        self.first = 0  # the pid of its process 1, as seen from here

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # making

    def install(self, bundle: Bundle, wanted: Network, reporter: Reporter) -> None:
        """Build the images of the bundle, and give the machine its own Docker with them."""
        self.template = Template(wanted)
        self.template.build(bundle, reporter, keep=self.folder)
        self.template.copy(self.folder / "docker")
        shims = [("/usr/bin", "systemctl"), ("/usr/bin", "journalctl"), ("/usr/sbin", "xfs_quota")]
        units = "/etc/systemd/system"
        self.write(
            [
                *(File(f"{at}/{name}", (GUEST / name).read_text(), "0755") for at, name in shims),
                File(f"{units}/docker.service", DOCKER.format(group=self.group), "0644"),
                File(f"{units}/ssh.service", SSH, "0644"),
                File("/etc/hostname", f"{self.name}\n", "0644"),
                File("/etc/hosts", f"127.0.0.1 localhost {self.name}\n::1 localhost\n", "0644"),
            ]
        )

    def write(self, files: Iterable[File]) -> None:
        """Put files onto the machine, as root's; whether or not it runs."""
        for file in files:
            if self.running:
                put = f"mkdir -p {Path(file.path).parent} && cat > {file.path}.new"
                put += f" && chmod {file.mode} {file.path}.new && mv {file.path}.new {file.path}"
                self.must(put, stdin=file.content.encode())
                continue
            target = self.folder / "upper" / file.path.lstrip("/")
            self._folders(target.parent)
            target.write_text(file.content)
            target.chmod(int(file.mode, 8))

    def _folders(self, path: Path) -> None:
        """A new folder of the upper layer hides the mode of the one below: take that over."""
        upper = self.folder / "upper"
        for folder in reversed([path, *path.parents]):
            if folder.is_relative_to(upper) and not folder.exists():
                folder.mkdir(mode=0o755)
                assert self.template is not None
                below = self.template.rootfs / folder.relative_to(upper)
                if below.exists():
                    shutil.copystat(below, folder)

    # running

    @property
    def group(self) -> str:
        return cache.group(self.folder.name)

    @property
    def running(self) -> bool:
        return self._machine is not None and self._machine.poll() is None

    def power_on(self) -> None:
        """Boot: networks, then Docker and sshd, then what is enabled."""
        assert self.template is not None, "install comes first"
        if self.running:
            return
        log = (self.folder / "console.log").open("ab")
        with log:
            self._machine = subprocess.Popen(
                [
                    *(*DIE_TOGETHER, "unshare", "--net", "--mount", "--pid", "--ipc", "--uts"),
                    *("--fork", "--kill-child", "--", "bash", str(GUEST / "init.sh")),
                    *(str(self.template.rootfs), str(self.folder)),
                ],
                env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "ROUTER": network.ROUTER},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._machine.stdout is not None
        said = self._machine.stdout.readline()
        if said != "ready\n":
            raise NotReady(f"the machine did not boot:\n{self.console()}")
        (first,) = psutil.Process(self._machine.pid).children()
        self.first = first.pid
        about = {"name": self.name, "first": self.first}
        (self.folder / ABOUT).write_text(json.dumps(about))
        self._connect()
        for unit in ("docker.service", "ssh.service"):
            self.must(f"systemctl start {unit} || {{ journalctl -u {unit} >&2; false; }}")
        self.must(
            "cd /etc/systemd/system/multi-user.target.wants && for unit in provision*; do"
            ' [ ! -e "$unit" ] || systemctl start --no-block "$unit"; done'
        )

    def _connect(self) -> None:
        """The wire between machine and outside; the outside is begun when it is first needed."""
        if self._outside is None:
            visits = self.folder / "visits.jsonl"
            visits.touch()
            descriptors = [one.fileno() for one in self._listening]
            log = (self.folder / "outside.log").open("ab")
            self._outside = subprocess.Popen(
                [
                    *(*DIE_TOGETHER, "unshare", "--net", "--", "sh", "-c", 'read -r _; exec "$@"'),
                    *("outside", sys.executable, "-m", "tests.engine.outside"),
                    *(*map(str, descriptors), str(visits)),
                ],
                cwd=ROOT,
                env=dict(os.environ) | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                pass_fds=descriptors,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            log.close()
            self._await_namespace(self._outside.pid)
            _batch(self._outside.pid, network.OUTSIDE)
        _batch(self._outside.pid, network.wire(self.first))
        _batch(self.first, network.MACHINE_SIDE)
        if self._outside.stdin is not None and not self._outside.stdin.closed:
            assert self._outside.stdout is not None
            self._outside.stdin.write("\n")
            self._outside.stdin.close()
            if self._outside.stdout.readline() != "ready\n":
                raise NotReady("the outside did not start")

    def _await_namespace(self, pid: int) -> None:
        ours = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{pid}/ns/net").readlink() == ours:
            time.sleep(0.01)

    def power_off(self) -> None:
        """As when the plug is pulled. Files stay."""
        if self._machine is None:
            return
        if self.running:
            psutil.Process(self.first).kill()
        self._machine.wait(60)  # process 1 is gone only when all others are
        if self._machine.stdout is not None:
            self._machine.stdout.close()
        self._machine = None
        cache.remove_groups(self.folder.name)

    def reboot(self) -> None:
        self.power_off()
        self.power_on()

    def stop(self, *, keep: bool = False) -> None:
        """The end of it: processes, networks, control groups and, unless they are kept, files."""
        self.power_off()
        if self._outside is not None:
            self._outside.kill()
            self._outside.wait(30)
            if self._outside.stdout is not None:
                self._outside.stdout.close()
            self._outside = None
        for one in self._listening:
            one.close()
        if keep:
            (self.folder / "keep").touch()
        elif self.folder.exists():
            cache.remove(self.folder)
        self._lock.close()

    # talking to it

    def command(self, *argv: str) -> list[str]:
        """`argv` as root on the machine, for `subprocess`."""
        return inside(self.first, *argv)

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 60) -> Result:
        """A shell command as root on the machine, past SSH."""
        if not self.running:
            raise NotReady("the machine is off")
        done = subprocess.run(
            self.command("sh", "-c", command),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Result(done.returncode, out, err)

    def must(self, command: str, *, stdin: bytes = b"", timeout: float = 60) -> str:
        done = self.run(command, stdin=stdin, timeout=timeout)
        assert done.ok, f"{command}: {done.code}\n{done.out}{done.err}"
        return done.out

    def console(self) -> str:
        return (self.folder / "console.log").read_text(errors="replace")

    def visits(self) -> list[Mapping[str, str]]:
        """Who came to which service of the outside, in order: {"service": …, "from": address}."""
        lines = (self.folder / "visits.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def inside(first: int, *argv: str) -> list[str]:
    """`argv` as root on the machine whose process 1 has that pid here."""
    return [
        *("nsenter", "--target", str(first), "--mount", "--net", "--pid", "--ipc", "--uts", "--"),
        *("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        *("HOME=/root", "LANG=C.UTF-8", "TERM=" + os.environ.get("TERM", "dumb"), *argv),
    ]


def _batch(pid: int, words: str) -> None:
    command = ["nsenter", "--target", str(pid), "--net", "--", "ip", "-batch", "-"]
    subprocess.run(command, input=words, text=True, check=True)
