"""A machine from a cloud's own image: a boot loader, no kernel of ours, all by the seed.

Debian's real image is hundreds of MB away on the network, and would build its container images in
the guest for an hour where that is emulated. So a stand-in is made of the baked image: the same
system behind a partition table and GRUB.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from provisioner.providers.local import process
from provisioner.providers.local.arch import host_arch
from provisioner.workflow.archive import opened
from tests.e2e.machine import Cli, measured, stopwatch

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(host_arch().debian != "amd64", reason="the stand-in is a PC's"),
]

BAKED = 'name = "tessera"\nusers = 2\n[environment]\npython = ["geotessera"]\n'
"""The environment of the other end-to-end tests, so that its image serves all."""

CLOUD = f'{BAKED}[local]\nimage = "genericcloud"\n[network]\ncloud_image = "cloud.qcow2"\n'


@pytest.fixture(scope="module")
def cli() -> Iterator[Cli]:
    """With a cache of its own, because what is downloaded here is of use to nobody else."""
    root = Path(tempfile.mkdtemp(prefix="provision-e2e-"))
    (root / "work").mkdir()
    (root / "work/baked.toml").write_text(BAKED)
    (root / "work/workshop.toml").write_text(CLOUD)
    baked = Cli(root / "work", root / "home").json("bake", "--config", "baked.toml", "--yes")
    script = Path(__file__).with_name("bootable.sh")
    with stopwatch("cloud_image_stand_in_seconds"):
        disk = Path(baked["path"]) / "disk.raw"
        subprocess.run([script, disk, root / "work/cloud.qcow2"], check=True)
    made = Cli(root / "work", root / "home", root / "cache")
    yield made
    made("teardown", "--discard-homes", "--yes")
    shutil.rmtree(root)


def machine(cli: Cli) -> psutil.Process:
    (found,) = (item for item in process.machines() if item.folder.is_relative_to(cli.home))
    return found.process


@pytest.fixture(scope="module")
def started(cli: Cli) -> Cli:
    """As far as everything is there that the bundle needs; the rest is as on any machine."""
    start = time.monotonic()
    cli.killed_at(("launch", "--yes"), '"step": "services"')
    measured(cloud_image_to_services_seconds=round(time.monotonic() - start, 1))
    return cli


def test_its_own_boot_loader_started_it_and_cloud_init_is_content(started: Cli) -> None:
    assert "-kernel" not in machine(started).cmdline()
    said = started("ssh", "--", "cat /proc/cmdline; findmnt -no SOURCE,SIZE /").stdout
    assert "BOOT_IMAGE=" in said
    assert "/dev/vda1" in said
    status = json.loads(started("ssh", "--", "cloud-init status --format json").stdout)
    assert (status["status"], status["errors"]) == ("done", [])


def test_the_file_system_has_grown_to_the_machines_disk(started: Cli) -> None:
    size = int(started("ssh", "--", "findmnt -bno SIZE /").stdout)
    disk = int(started("ssh", "--", "lsblk -bdno SIZE /dev/vda").stdout)
    assert size > 0.9 * disk


def test_the_seed_has_told_it_about_this_network(started: Cli) -> None:
    said = started("ssh", "--", "cat /etc/apt/apt.conf.d/94cloud-init-config").stdout
    assert 'APT::Periodic::Enable "0";' in said
    trusted = started("ssh", "--", "ls /usr/local/share/ca-certificates").stdout.split()
    baked_in = [name for name in trusted if name.startswith("provision-")]
    told = [name for name in trusted if name.startswith("cloud-init-ca-cert-")]
    assert len(told) == len(baked_in)


def test_work_comes_home_from_a_machine_that_is_off(started: Cli) -> None:
    """In rescue, neither Docker nor the deadline starts; the kernel's arguments are not ours."""
    home = "/opt/provision/homes/user01/home"
    made = f"until sudo test -d {home}; do sleep 1; done"
    started("ssh", "--", f"timeout 300 sh -c '{made}'")
    started("ssh", "--", f"echo work | sudo tee {home}/mine.txt; sudo sync")
    machine(started).kill()
    with stopwatch("cloud_image_rescue_seconds"):
        done = started.json("teardown", "--yes")
    assert done["leftovers"] == []
    with opened(Path(done["backup"]) / "user01.tar.zst") as archive:
        assert "./mine.txt" in archive.getnames()


def test_the_image_is_pruned_like_any_other(started: Cli) -> None:
    assert len(started.json("bake", "--list")) == 1
    started("bake", "--prune")
    assert started.json("bake", "--list") == []
    assert list((started.cache or Path()).glob("images/*/disk*")) == []
