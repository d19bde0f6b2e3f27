"""What explains a failure, saved before anything can be lost."""

from __future__ import annotations

from provisioner.errors import ProvisionError
from provisioner.protocols import ConsoleLog
from provisioner.render import commands
from provisioner.store import write_private
from provisioner.workflow.checks import Climb

USEFUL_LINES = 12

SOURCES = (
    ("cloud-init-status.json", commands.CLOUD_INIT_STATUS),
    ("cloud-init-output.log", commands.CLOUD_INIT_LOG),
    ("bundle.log", commands.service_logs()),
    ("services.json", commands.service_states()),
)


def collect(climb: Climb) -> list[str]:
    """Fill `logs/` and answer with the lines a person would look at first."""
    texts = {}
    provider = climb.tools.provider
    if isinstance(provider, ConsoleLog):
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
    for name in ("bundle.log", "cloud-init-output.log", "console.log"):
        if lines := _tail(texts.get(name, "")):
            return [f"the end of {name}:", *lines]
    return []


def _tail(text: str) -> list[str]:
    return [line.rstrip()[-200:] for line in text.splitlines() if line.strip()][-USEFUL_LINES:]
