"""The known_hosts file: which host keys are this workshop's."""

from __future__ import annotations

from collections.abc import Sequence


def host_name(host: str, port: int) -> str:
    """As known_hosts writes it."""
    return host if port == 22 else f"[{host}]:{port}"


def known_hosts_lines(host: str, port: int, keys: Sequence[str]) -> str:
    """known_hosts for `keys`, each "ssh-ed25519 AAAA…"; OpenSSH accepts any one of them."""
    return "".join(f"{host_name(host, port)} {key}\n" for key in keys)


def pinned_keys(known_hosts: str) -> list[str]:
    """The keys of a known_hosts file, in its order."""
    return [" ".join(line.split()[1:3]) for line in known_hosts.splitlines() if line.strip()]
