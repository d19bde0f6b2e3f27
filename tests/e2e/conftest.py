from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Cli

WORKSHOP = """\
name = "tessera"
users = 2

[environment]
python = ["geotessera"]
variables = { TESSERA_DATA_DIR = "/tessera" }

[[data]]
source = "./tessera"
path = "/tessera"
"""


@pytest.fixture(scope="module")
def cli() -> Iterator[Cli]:
    """The seed's workshop, in a folder that is gone afterwards, and its machine with it."""
    root = Path(tempfile.mkdtemp(prefix="provision-e2e-"))
    (root / "work" / "tessera").mkdir(parents=True)
    (root / "work" / "tessera" / "tile.txt").write_text("a tile of embeddings\n")
    (root / "work" / "workshop.toml").write_text(WORKSHOP)
    made = Cli(root / "work", root / "home")
    yield made
    made("teardown", "--discard-homes", "--yes")
    shutil.rmtree(root)
