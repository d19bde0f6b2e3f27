"""The real command line against a real virtual machine, as a user would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def artefacts() -> Path:
    """Screenshots and figures of this run; not part of the project."""
    path = Path(os.environ.get("PROVISION_ARTEFACTS") or ROOT / "artefacts")
    path.mkdir(parents=True, exist_ok=True)
    return path


def measured(**figures: Any) -> None:
    """Keep figures for tests/benchmarks, which print them as ratios at the end."""
    file = artefacts() / "measured.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | figures, indent=1))


@dataclass
class Cli:
    """`provision`, in a folder and a home of its own."""

    folder: Path
    home: Path
    cache: Path | None = None  # of images; None: the one that all tests share
    log: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "PROVISION_HOME"}
        if self.cache:
            kept["PROVISION_CACHE"] = str(self.cache)
        return {**kept, "PROVISION_HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "120"}

    def __call__(
        self, *words: str, code: int = 0, timeout: float = 1500
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "provisioner.cli.app", *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        print(f"$ provision {' '.join(words)}\n{done.stderr}{done.stdout}", flush=True)
        assert done.returncode == code, f"provision {words}: {done.returncode}\n{done.stderr}"
        return done

    def json(self, *words: str, **options: Any) -> Any:
        return json.loads(self(*words, "--json", **options).stdout)

    def killed_at(self, words: tuple[str, ...], title: str, *, timeout: float = 900) -> None:
        """Run until a step's event `title` begins, then `kill -9` the command line."""
        events = self.home / "tessera" / "events.jsonl"
        before = events.read_text().count(title) if events.exists() else 0
        child = subprocess.Popen(
            [sys.executable, "-m", "provisioner.cli.app", *words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and child.poll() is None:
            if events.exists() and events.read_text().count(title) > before:
                time.sleep(0.5)
                break
            time.sleep(0.1)
        assert child.poll() is None, f"ended with {child.returncode} before {title}"
        child.send_signal(signal.SIGKILL)
        child.wait()


@contextmanager
def stopwatch(name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    measured(**{name: round(time.monotonic() - start, 1)})
