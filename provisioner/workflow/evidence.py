"""What explains a failure, saved before anything can be lost."""

from __future__ import annotations

import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

from provisioner import buildlog
from provisioner.errors import ProvisionError
from provisioner.models import Phase
from provisioner.protocols import ConsoleLog
from provisioner.render import commands, looking
from provisioner.store import Record, write_private
from provisioner.workflow.checks import Climb
from provisioner.workflow.tools import Tools

USEFUL_LINES = 12

SOURCES = (
    ("cloud-init-status.json", commands.CLOUD_INIT_STATUS),
    ("cloud-init-output.log", commands.CLOUD_INIT_LOG),
    ("bootstrap.log", commands.BOOTSTRAP_LOG),
    ("bundle.log", looking.logs([], tail=200)),
    ("services.json", commands.service_states()),
)


def collect(climb: Climb) -> list[str]:
    """Fill `logs/` and answer with the lines a person would look at first."""
    texts = {}
    provider = climb.tools.provider
    if isinstance(provider, ConsoleLog):
        with contextlib.suppress(ProvisionError):  # the cause itself is what is to be told
            texts["console.log"] = provider.console(climb.record.id)
    for name, command in SOURCES:
        try:
            result = climb.remote.run(command, timeout=30)
        except ProvisionError:
            break  # nobody answers: the console is all there is
        texts[name] = result.out + result.err
    climb.folder.logs.mkdir(mode=0o700, exist_ok=True)
    for name, text in texts.items():
        if text:
            write_private(climb.folder.logs / name, text)
    for name in _order(climb.record.phase):
        text = texts.get(name, "")
        if built := buildlog.failure(text.splitlines()):
            return [f"the build that failed, from {name}:", *built.words]
        if lines := _tail(text):
            return [f"the end of {name}:", *lines]
    return []


def _order(phase: Phase) -> tuple[str, ...]:
    """Before there is an engine, the bundle's log says no more than that."""
    machine = ("bootstrap.log", "cloud-init-output.log")
    early = phase in {Phase.PREPARING, Phase.CREATING, Phase.BOOTING}
    first = (*machine, "bundle.log") if early else ("bundle.log", *machine)
    return (*first, "console.log")


def _tail(text: str) -> list[str]:
    return [line.rstrip()[-200:] for line in text.splitlines() if line.strip()][-USEFUL_LINES:]


def keep(tools: Tools, record: Record) -> Path | None:
    """What explains a failure outlives the workshop: its logs, and the machine's last words.

    Answers with the folder, or None when there was no failure or nothing to keep.
    """
    if record.ready_at is not None or record.phase is Phase.PREPARING:
        return None
    folder = tools.store.folder(record.name)
    folder.logs.mkdir(mode=0o700, exist_ok=True)
    provider = tools.provider
    if isinstance(provider, ConsoleLog) and (console := provider.console(record.id)):
        write_private(folder.logs / "console.log", console)
    server = provider.find(record.id)
    reasons = [text for text in (record.failure, server.why if server else "") if text]
    if reasons:
        write_private(folder.logs / "reason.txt", "\n".join(reasons) + "\n")
    if not any(folder.logs.iterdir()):
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    target = tools.store.backups / f"{record.name}-{stamp}-logs"
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(folder.logs, target, dirs_exist_ok=True)
    return target
