from __future__ import annotations

from pathlib import Path

from provisioner.providers.local import cgroups


def test_empty_groups_of_bakes_go_on_either_version(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    for folder in ("provision-bake-1/buildkit/x", "memory/provision-bake-2/y", "memory/docker"):
        (root / folder).mkdir(parents=True)
    busy = root / "cpu/provision-bake-3/z"
    busy.mkdir(parents=True)
    (busy / "task").touch()
    cgroups.remove_empty(root)
    assert sorted(path.name for path in root.rglob("*")) == [
        *("cpu", "docker", "memory", "provision-bake-3", "task", "z"),
    ]
