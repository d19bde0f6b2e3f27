from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.models import Bundle, LocalOptions, Network, Size, Spec
from provisioner.providers.local import bake, image, recipes
from provisioner.providers.local.arch import ARCHES
from provisioner.providers.local.image import Manifest, Store

AMD64, ARM64 = ARCHES["x86_64"], ARCHES["aarch64"]


def key(spec: Spec, arch: image.Arch = AMD64, authorities: dict[str, bytes] | None = None) -> str:
    return image.recipe(spec, arch, authorities or {}).key


def test_the_key_changes_with_everything_that_goes_in(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        "as it is": key(spec),
        "containers": key(replace(spec, bundle=Bundle(spec.bundle.files, "other"))),
        "mirror": key(replace(spec, network=Network("", apt_mirror="http://mirror.example/"))),
        "architecture": key(spec, ARM64),
        "an authority": key(spec, AMD64, {"a.crt": b"1"}),
        "another authority": key(spec, AMD64, {"a.crt": b"2"}),
    }
    for name, value in {
        "FORMAT": 2,
        "SUITE": "forky",
        "GUEST_PACKAGES": ("less",),
        "BASE_PACKAGES": ("more",),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(image, name, value)
            keys[name] = key(spec)
    assert len(set(keys.values())) == len(keys), keys


def test_the_key_changes_with_nothing_else(spec: Spec) -> None:
    others = (
        replace(spec, id="another", name="other", folder=Path("/elsewhere")),
        replace(spec, size=Size(1, 1, 1), user_data=b"", local=LocalOptions(bind="0.0.0.0")),
        replace(spec, expires_at=datetime(2031, 1, 1, tzinfo=UTC)),
        replace(spec, bundle=Bundle(((".env", b"at run time"),), spec.bundle.image_key)),
    )
    assert {key(other) for other in others} == {key(spec)}


def test_a_changed_environment_repeats_neither_debian(spec: Spec) -> None:
    before = image.recipe(spec, AMD64, {})
    after = replace(before, image_key="other")
    assert before.rootfs_inputs() == after.rootfs_inputs()
    assert before.base_inputs() == after.base_inputs()


def finished(store: Store, key: str, created_at: str) -> None:
    golden = store.golden(key)
    golden.path.mkdir(parents=True)
    golden.disk.write_bytes(b"x" * 4096)
    golden.write_manifest(Manifest(key, created_at, 4096, {}, {"disk": 1.0}))


def test_images_are_listed_newest_first_with_their_users(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished(store, "old", "2026-01-01T00:00:00+00:00")
    finished(store, "new", "2026-02-01T00:00:00+00:00")
    (tmp_path / ".tmp-half").mkdir()
    (tmp_path / "no-manifest").mkdir()
    images = store.images({"old": ["demo"]})
    assert [(item.key, item.in_use_by) for item in images] == [("new", ()), ("old", ("demo",))]
    store.remove(images[0])
    assert [item.key for item in store.images({})] == ["old"]


def test_ruins_of_dead_bakes_are_swept_and_live_ones_are_not(tmp_path: Path) -> None:
    import fcntl

    store = Store(tmp_path)
    for name in ("dead", "live"):
        (store.work(name) / "rootfs").mkdir(parents=True)
    with store.lock("live").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bake.sweep(store)
    assert [path.name for path in tmp_path.glob(".tmp-*")] == [".tmp-live"]


def test_private_authorities_lie_where_the_builds_look(tmp_path: Path, spec: Spec) -> None:
    recipe = image.recipe(spec, AMD64, {"provision-1.crt": b"PEM"})
    bake.place(spec.bundle, recipe, tmp_path / "bundle")
    assert (tmp_path / "bundle/ca/provision-1.crt").read_bytes() == b"PEM"
    assert (tmp_path / "bundle/.env").read_bytes() == b"A='1'\n"


def test_every_command_ends_with_the_one_that_started_it() -> None:
    command = recipes.contained(["true"])
    assert command[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert {"--mount", "--pid", "--kill-child"} <= set(command)


def test_a_mirror_replaces_debians_own(spec: Spec) -> None:
    recipe = image.recipe(spec, AMD64, {})
    target = Path("/t.tar")
    assert recipes.base(recipe, target)[-2:] == ["trixie", "/t.tar"]
    mirrored = recipes.base(replace(recipe, apt_mirror="http://mirror.example/debian"), target)
    assert mirrored[-2:] == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
    ]


def test_the_disk_has_room_for_many_small_files() -> None:
    gib = 1024**3
    assert recipes.disk_size(content=(2 * gib, 100_000)) == 4 * gib
    assert recipes.disk_size(content=(2 * gib, 1_000_000)) == 20 * gib


def test_too_little_disk_is_refused_with_numbers(tmp_path: Path) -> None:
    with pytest.raises(bake.Refused, match=r"GiB of disk; .* has \d+\.\d GiB free"):
        bake.require_space(tmp_path, 1 << 60)
