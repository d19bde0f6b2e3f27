"""The whole provider on real files and real processes; only QEMU is a sleeping impostor."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from provisioner import protocols
from provisioner.errors import Refused
from provisioner.models import GIB, LocalOptions, Network, ServerState, Severity, Spec
from provisioner.providers.local import (
    LocalProvider,
    genericcloud,
    image,
    packages,
    ports,
    process,
    qemu,
)
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.image import Manifest, Store
from tests.doubles import Listener

QEMU = f"""#!/bin/bash
case "$*" in *--version*) echo "QEMU emulator version 10.0"; exit;; esac
case "$*" in *isa-debug-exit*) exit 1;; esac
[ -e "$FAIL" ] && {{ echo "qemu: could not lock the disk" >&2; exit 1; }}
setsid bash -c 'exec -a {host_arch().qemu} {sys.executable} "$@"' \\
    sh -c 'import time; time.sleep(60)' "$@" </dev/null >/dev/null 2>&1 &
sleep 0.3
"""
QEMU_IMG = '#!/bin/sh\nfor last; do before=$path; path=$last; done\ntouch "$before"\n'


@pytest.fixture
def local(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalProvider]:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in {host_arch().qemu: QEMU, "qemu-img": QEMU_IMG}.items():
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("FAIL", str(tmp_path / "fail"))
    store = Store(tmp_path / "images")
    key = image.recipe(spec, host_arch(), {}).key
    golden = store.golden(key)
    golden.path.mkdir(parents=True)
    golden.disk.write_bytes(b"disk")
    golden.write_manifest(Manifest(key, "2026-01-01T00:00:00+00:00", 4, {}, {}))
    yield LocalProvider(home=spec.folder.parent, images=store.path)
    process.end(spec.id)


def kill(workshop_id: str) -> None:
    found = process.find(workshop_id)
    assert found is not None
    found.process.kill()
    psutil.wait_procs([found.process], timeout=5)


def test_it_is_all_that_it_claims_to_be(local: LocalProvider) -> None:
    for protocol in (
        protocols.HasCapacity,
        protocols.Discovers,
        protocols.ConsoleLog,
        protocols.Restarts,
        protocols.Bakes,
        protocols.NeedsPackages,
    ):
        assert isinstance(local, protocol)


def test_create_is_idempotent_and_delete_leaves_nothing(local: LocalProvider, spec: Spec) -> None:
    assert local.find(spec.id) is None
    server = local.create(spec)
    assert server.state is ServerState.RUNNING
    assert server.slow
    assert local.create(spec) == server == local.find(spec.id)
    assert [item.kind for item in local.leftovers(spec.id)] == ["process", "files"]
    local.delete(spec.id)
    local.delete(spec.id)
    assert local.leftovers(spec.id) == []
    assert local.find(spec.id) is None
    assert list(spec.folder.iterdir()) == []


def test_a_crashed_machine_starts_again_on_its_disk(local: LocalProvider, spec: Spec) -> None:
    before = local.create(spec)
    disk = spec.folder / "vm/disk.qcow2"
    disk.write_text("participants' work")
    kill(spec.id)
    stopped = local.find(spec.id)
    assert stopped is not None
    assert stopped.state is ServerState.STOPPED
    after = local.create(spec)
    assert (after.ssh_port, after.https_port) == (before.ssh_port, before.https_port)
    assert disk.read_text() == "participants' work"


@pytest.mark.parametrize("missing", ["disk.qcow2", "seed.iso"])
def test_a_create_cut_short_is_completed(local: LocalProvider, spec: Spec, missing: str) -> None:
    before = local.create(spec)
    kill(spec.id)
    (spec.folder / "vm" / missing).unlink()
    assert local.create(spec) == before
    assert (spec.folder / "vm" / missing).exists()


def test_the_process_is_found_when_all_files_are_gone(local: LocalProvider, spec: Spec) -> None:
    local.create(spec)
    for file in (spec.folder / "vm").iterdir():
        file.unlink()
    assert [(item.id, item.state) for item in local.discover()] == [(spec.id, ServerState.RUNNING)]
    assert [item.kind for item in local.leftovers(spec.id)] == ["process"]
    local.delete(spec.id)
    assert local.leftovers(spec.id) == []


def test_another_homes_machine_is_not_ours(
    local: LocalProvider, spec: Spec, tmp_path: Path
) -> None:
    local.create(spec)
    assert LocalProvider(home=tmp_path / "other", images=tmp_path).discover() == []


def test_an_unreadable_owner_refuses_and_says_what_to_do(local: LocalProvider, spec: Spec) -> None:
    (spec.folder / "vm").mkdir()
    (spec.folder / "vm/owner.json").write_text("{")
    with pytest.raises(Refused) as caught:
        local.create(spec)
    assert "rm -r" in caught.value.hint


def test_another_workshops_machine_is_not_touched(local: LocalProvider, spec: Spec) -> None:
    local.create(spec)
    with pytest.raises(Refused, match="another workshop"):
        local.create(replace(spec, id="11111111-7c55-4f2d-9a53-7b0f7a6f2d11"))
    local.delete("11111111-7c55-4f2d-9a53-7b0f7a6f2d11")
    assert local.find(spec.id) is not None


def test_two_workshops_have_ports_of_their_own(local: LocalProvider, spec: Spec) -> None:
    first = local.create(spec)
    kill(spec.id)  # off, yet its ports stay its own
    other = spec.folder.parent / "other"
    other.mkdir()
    again = replace(spec, id="22222222-7c55-4f2d-9a53-7b0f7a6f2d11", name="other", folder=other)
    second = local.create(again)
    local.delete(again.id)
    assert {first.ssh_port, first.https_port}.isdisjoint({second.ssh_port, second.https_port})


def test_rescue_needs_a_disk(local: LocalProvider, spec: Spec) -> None:
    with pytest.raises(Refused, match="no disk"):
        local.rescue(spec.id)
    local.create(spec)
    kill(spec.id)
    assert local.rescue(spec.id).state is ServerState.RUNNING
    found = process.find(spec.id)
    assert found is not None
    assert qemu.RESCUE[0] in " ".join(found.process.cmdline())


def test_qemus_own_words_come_through(local: LocalProvider, spec: Spec) -> None:
    Path(os.environ["FAIL"]).touch()
    with pytest.raises(Refused, match="could not lock the disk"):
        local.create(spec)


def test_the_console_is_what_the_machine_said(local: LocalProvider, spec: Spec) -> None:
    assert local.console(spec.id) == ""
    local.create(spec)
    (spec.folder / "vm/serial.log").write_bytes(b"Linux version 6\xff\n")
    assert local.console(spec.id).startswith("Linux version 6")


def test_images_in_use_are_not_pruned(local: LocalProvider, spec: Spec) -> None:
    local.create(spec)
    assert [item.in_use_by for item in local.images()] == [("demo",)]
    assert list(local.prune(lambda image: False)) == []
    local.delete(spec.id)
    assert len(list(local.prune(lambda image: False))) == 1
    assert not local.baked(spec)


def test_without_an_image_nothing_is_made(local: LocalProvider, spec: Spec) -> None:
    list(local.prune(lambda image: False))
    with pytest.raises(Refused) as caught:
        local.create(spec)
    assert caught.value.hint == "provision bake"
    assert list(spec.folder.iterdir()) == []


def test_check_names_what_is_wrong(local: LocalProvider, spec: Spec) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wrong = replace(spec, name="Not A Host", local=LocalOptions("tcg", "127.0.0.1", port))
        errors = {
            finding.subject: finding.message
            for finding in local.check(wrong)
            if finding.severity is Severity.ERROR
        }
    assert f"process {os.getpid()}" in errors["https_port"]
    assert "host name" in errors["name"]
    elsewhere = replace(spec, local=LocalOptions("tcg", bind="192.0.2.1"))
    assert "no address" in {item.subject: item.message for item in local.check(elsewhere)}["bind"]


def test_check_makes_nothing(local: LocalProvider, spec: Spec) -> None:
    local.check(spec)
    assert list(spec.folder.iterdir()) == []


def test_a_running_machine_is_no_obstacle_to_itself(local: LocalProvider, spec: Spec) -> None:
    server = local.create(spec)
    wanted = replace(spec, local=LocalOptions("tcg", https_port=server.https_port))
    assert "https_port" not in {finding.subject for finding in local.check(wanted)}


def test_available_is_in_bytes(local: LocalProvider) -> None:
    free = local.available()
    assert free.memory > 1 << 27
    assert free.disk > 1 << 27
    assert free.cores >= 1
    assert ports.FIRST_HTTPS == 8443


@pytest.fixture
def cloud(local: LocalProvider, spec: Spec, tmp_path: Path) -> Spec:
    """The same workshop, to be started from a cloud image that lies on this computer."""
    file = tmp_path / "genericcloud.qcow2"
    file.write_bytes(struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 30 * GIB))
    return replace(
        spec,
        local=LocalOptions("tcg", image="genericcloud"),
        network=Network(ca_bundle="", cloud_image=str(file)),
    )


def machine_words(workshop_id: str) -> list[str]:
    found = process.find(workshop_id)
    assert found is not None
    return found.process.cmdline()


def test_a_cloud_image_is_fetched_and_started_by_its_own_boot_loader(
    local: LocalProvider, cloud: Spec
) -> None:
    assert not local.baked(cloud)
    with pytest.raises(Refused, match="not made yet"):
        local.create(cloud)
    listener = Listener()
    made = local.bake(cloud, listener)
    assert local.baked(cloud)
    assert "an hour or more" in listener.words[0], "it will be emulated"
    server = local.create(cloud)
    assert dict(server.about)["image"] == made.key
    assert "-kernel" not in machine_words(cloud.id)
    owner = json.loads((cloud.folder / "vm/owner.json").read_text())
    assert owner["disk"] == 30 * GIB, "a disk may not be smaller than what it stands on"


def test_a_cloud_images_machine_is_rescued_through_the_firmware(
    local: LocalProvider, cloud: Spec
) -> None:
    local.bake(cloud, Listener())
    local.create(cloud)
    kill(cloud.id)
    local.rescue(cloud.id)
    assert f"type=11,value={qemu.RESCUE_CREDENTIALS[0]}" in machine_words(cloud.id)


def test_a_machine_keeps_its_image_whatever_a_new_one_would_get(
    local: LocalProvider, cloud: Spec
) -> None:
    first = local.bake(cloud, Listener())
    local.create(cloud)
    kill(cloud.id)
    Path(cloud.network.cloud_image).unlink()
    assert local.bake(cloud, Listener()) == replace(first, in_use_by=("demo",))
    assert local.create(replace(cloud, local=LocalOptions("tcg", image="bake"))).id == cloud.id
    assert "-kernel" not in machine_words(cloud.id)


def test_a_cloud_image_is_listed_and_pruned_like_the_others(
    local: LocalProvider, cloud: Spec
) -> None:
    made = local.bake(cloud, Listener())
    assert made.key in {item.key for item in local.images()}
    local.create(cloud)
    assert made.key not in {item.key for item in local.prune(lambda image: False)}
    local.delete(cloud.id)
    assert [item.key for item in local.prune(lambda image: False)] == [made.key]
    assert not made.path.exists()


def image_findings(local: LocalProvider, spec: Spec) -> list[tuple[Severity, str]]:
    return [(item.severity, item.message) for item in local.check(spec) if item.subject == "image"]


def test_without_root_a_cloud_image_is_no_problem_and_a_bake_is(
    local: LocalProvider, cloud: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert {severity for severity, _ in image_findings(local, cloud)} == {
        Severity.INFO,
        Severity.WARNING,  # emulated
    }
    list(local.prune(lambda image: False))
    bake = replace(cloud, local=LocalOptions("tcg", image="bake"))
    assert image_findings(local, bake)[0][0] is Severity.ERROR
    auto = replace(cloud, local=LocalOptions("tcg"))
    assert image_findings(local, auto) == image_findings(local, cloud)
    local.bake(auto, Listener())
    assert "-kernel" not in local_words(local, auto)


def local_words(local: LocalProvider, spec: Spec) -> list[str]:
    local.create(spec)
    return machine_words(spec.id)


def test_a_cloud_image_out_of_reach_is_found_before_anything_is_made(
    local: LocalProvider, cloud: Spec
) -> None:
    Path(cloud.network.cloud_image).unlink()
    (severity, message), *_ = image_findings(local, cloud)
    assert severity is Severity.ERROR
    assert "there is no file" in message


def test_where_nothing_can_be_had_both_reasons_are_said(
    local: LocalProvider, cloud: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(cloud.network.cloud_image).unlink()
    list(local.prune(lambda image: False))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    auto = replace(cloud, local=LocalOptions("tcg"))
    (severity, message), *_ = image_findings(local, auto)
    assert severity is Severity.ERROR
    assert "needs root" in message
    assert "there is no file" in message


def test_the_network_is_asked_once(
    local: LocalProvider, cloud: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(genericcloud, "why_not", lambda network, wanted: str(asked.append(wanted)))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    list(local.prune(lambda image: False))
    auto = replace(cloud, local=LocalOptions("tcg"))
    local.missing_packages(auto.local, auto.network)
    local.check(auto)
    assert not local.baked(auto)
    assert len(asked) == 1


def test_packages_for_a_bake_are_asked_for_only_where_one_would_be_made(
    local: LocalProvider, cloud: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(packages, "missing", lambda arch, *, baking=True: asked.append(baking))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for image_ in ("auto", "bake", "genericcloud"):
        local.missing_packages(LocalOptions(image=image_), cloud.network)
    assert asked == [False, True, False]
