"""The shell that runs on somebody's machine, run by a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.models import Bundle
from provisioner.providers.host import bootstrap, claim, facts, traces, upload
from provisioner.render.assets import asset
from tests.unit.providers.host.test_provider import spec

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
HELD = claim.Claim("id-1", "tessera", datetime.now(UTC), datetime.now(UTC), "192.0.2.7")


def sh(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    "script",
    [
        facts.FACTS,
        facts.CAPACITY,
        traces.SCAN,
        traces.QUIET,
        claim.READ,
        claim.write_first("id-1"),
        bootstrap.STATE,
        bootstrap.BEGIN,
        *(kind.remove(["one", "an other"], HELD) for kind in traces.KINDS),
    ],
)
def test_every_command_is_shell(script: str) -> None:
    subprocess.run(["sh", "-n", "-c", script], check=True)


def test_looking_works_on_a_machine_that_has_nothing() -> None:
    """This one, whatever it has: the answers are understood, and no list fails the whole."""
    known = facts.parse_facts(sh(facts.FACTS).stdout)
    assert known.size.cores >= 1
    assert known.size.memory > 0
    assert known.size.disk > 0
    assert known.system
    scan = traces.parse_scan(sh(traces.SCAN).stdout)
    assert {kind.name for kind in traces.KINDS} <= scan.keys()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("iptables", path=PATH), reason="needs root and iptables"
)
def test_of_the_fence_no_rule_stays(tmp_path: Path) -> None:
    """In a network of its own: what cloud-init/isolate puts up is found, and found no more."""
    isolate = asset("cloud-init/isolate").read_text().replace("/run/provision", str(tmp_path))
    kinds = [kind for kind in traces.KINDS if kind.name in {"firewall rule", "chain of rules"}]
    shown = "iptables -S; ip6tables -S"

    def inside(script: str) -> str:
        """Of steps that share one network; `---` is printed between them."""
        return sh(f"unshare --net sh -euc {shlex.quote(script)}", PATH=PATH).stdout

    prepare = f"iptables -N DOCKER-USER; {shown}; echo ---; {isolate}\n{shown}; echo ---;"
    looks = "; ".join(kind.lists for kind in kinds)
    before, _, found = inside(f"{prepare} {looks}").split("---\n")
    lines = found.splitlines()
    assert len([line for line in lines if " -A " in line]) == 6
    assert len([line for line in lines if " -N " in line]) == 3
    own = [(kind, [x for x in lines if (" -A " in x) == (kind is kinds[0])]) for kind in kinds]
    after = inside(f"{prepare} {traces.removal(own, HELD)}\n{shown}").split("---\n")[2]
    assert after == before


def test_of_two_claims_one_wins(tmp_path: Path) -> None:
    def write(id: str) -> str:
        script = claim.write_first(id).replace("/opt/provision", str(tmp_path / "root"))
        return subprocess.run(
            ["sh", "-c", script], input=id, capture_output=True, text=True, check=True
        ).stdout

    assert [write("one"), write("two"), write("one")] == ["one", "one", "one"]
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["host.json"]


def test_packages_that_came_with_the_bootstrap_are_known_even_after_a_crash(
    tmp_path: Path,
) -> None:
    (script,) = [file.content for file in upload.files(spec()) if file.path == upload.TRACK]
    track = tmp_path / "track"
    track.write_text(script.replace("/opt/provision", str(tmp_path)))
    installed = tmp_path / "installed"
    query = tmp_path / "dpkg-query"
    query.write_text(f"#!/bin/sh\ncat {installed}\necho config-files gone\n")
    query.chmod(0o755)

    def run(word: str) -> None:
        sh(f"sh {track} {word}", PATH=f"{tmp_path}:{os.environ['PATH']}")

    def now(*packages: str) -> None:
        """A package with a state of its own is one that dpkg did not finish."""
        lines = (item if " " in item else f"installed {item}" for item in packages)
        installed.write_text("".join(f"{line}\n" for line in lines))

    now("bash", "vim")
    run("begin")
    now("bash", "vim", "docker.io")
    run("begin")  # the machine went down in between, and the bootstrap is begun again
    now("bash", "vim", "docker.io", "half-configured containerd")
    run("end")
    now("bash", "vim", "docker.io", "containerd", "of-the-owner")
    run("end")
    run("begin")
    now("bash", "vim", "docker.io", "containerd", "of-the-owner", "mmdebstrap")
    run("end")
    added = (tmp_path / "packages.added").read_text().split()
    assert added == ["containerd", "docker.io", "mmdebstrap"]


def test_the_archive_holds_files_as_they_should_be(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o700)
    bundle = Bundle(files=(("run", b"#!/bin/sh\n"), ("binary", b"\xff\x00")), image_key="x")
    wanted = upload.archive([*upload.files(spec()), *upload.bundle_files(bundle)])
    command = upload.EXTRACT.replace("--directory /", f"--directory {tmp_path}")
    subprocess.run(["sh", "-c", command], input=wanted, check=True)
    root = tmp_path / "opt" / "provision"
    assert (root / "bundle" / "binary").read_bytes() == b"\xff\x00"
    assert (root / "bundle" / "run").stat().st_mode & 0o777 == 0o755
    assert (root / "bundle" / ".env").stat().st_mode & 0o777 == 0o644
    assert (root / "bootstrap.sh").stat().st_mode & 0o777 == 0o755
    assert folder.stat().st_mode & 0o777 == 0o700, "folders of the machine keep their mode"
