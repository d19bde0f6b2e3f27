"""What a rehearsal runs: the organiser's notebook, or one of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from provisioner.errors import UsageError
from provisioner.models import MaterialsSource
from provisioner.visits import Cell

LARGEST = 50 * 1024**2
DEFAULT = "the usual things (numpy, a plot, the shared data, a file)"


@dataclass(frozen=True, slots=True)
class Notebook:
    name: str
    cells: tuple[Cell, ...]
    kernel: str = "python3"


def default_notebook(data_paths: tuple[str, ...]) -> Notebook:
    """Imports, arithmetic, a plot, the first bytes of each shared folder, a file in the home."""
    codes = (
        "import numpy as np\nnp.linalg.svd(np.random.default_rng(1).random((300, 300)));",
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
        "plt.plot(range(9))\nplt.savefig('/tmp/.provision-rehearsal.png')",
        *(
            "import itertools, pathlib\n"
            f"for path in itertools.islice(pathlib.Path({path!r}).rglob('*'), 20):\n"
            "    if path.is_file():\n"
            "        with path.open('rb') as file: file.read(1_000_000)"
            for path in data_paths
        ),
        "import os, pathlib\nfile = pathlib.Path.home() / '.provision-rehearsal'\n"
        "file.write_bytes(os.urandom(1_000_000))\nfile.unlink()\n"
        "pathlib.Path('/tmp/.provision-rehearsal.png').unlink()",
    )
    return Notebook(DEFAULT, tuple(Cell(number, code) for number, code in enumerate(codes, 1)))


def read_notebook(path: Path) -> Notebook:
    """The code cells of an .ipynb, in order. Raises UsageError for what is none.

    A cell with Jupyter's own tag "raises-exception" may fail.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is too large for a notebook")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not a notebook (.ipynb): {error}") from None
    cells = values.get("cells") if isinstance(values, dict) else None
    if not isinstance(cells, list):
        raise UsageError(
            f"{path} is not a notebook of format 4",
            hint="open it in JupyterLab and save it: that brings it up to date",
        )
    try:
        found = tuple(
            Cell(number, code, "raises-exception" in cell.get("metadata", {}).get("tags", []))
            for number, cell in enumerate(cells, 1)
            if cell["cell_type"] == "code" and (code := _source(cell["source"])).strip()
        )
        kernel = values.get("metadata", {}).get("kernelspec", {})
        python = kernel.get("language", "python") == "python"
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a notebook: {type(error).__name__} {error}") from None
    if not found:
        raise UsageError(f"{path} has no code cell")
    # Whatever an environment is called on the author's computer, here it is the one of the image.
    return Notebook(path.name, found, "python3" if python else str(kernel.get("name", "python3")))


def home_folder(path: Path, materials: MaterialsSource | None) -> str:
    """Where in everybody's home the notebook lies, if it is one of the materials; else ""."""
    if materials is None or "://" in materials.source:
        return ""
    source = Path(materials.source).resolve()
    if not path.resolve().is_relative_to(source):
        return ""
    below = path.resolve().parent.relative_to(source)
    return (PurePosixPath(materials.folder or source.name) / below.as_posix()).as_posix()


def _source(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
