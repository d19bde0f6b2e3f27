"""SSH as the operator does it by hand: own keys, own agent, own known_hosts, own ~/.ssh/config.

A host key that known_hosts does not hold is refused; which one to trust is the operator's to say.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import paramiko

from provisioner.errors import NotYet, Refused
from provisioner.remote.ssh import Shell
from provisioner.remote.words import words_of

DEFAULT_PORT = 22
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an address leads once ~/.ssh/config has been asked."""

    host: str
    port: int
    user: str
    keys: tuple[Path, ...] = ()  # private keys that exist
    agent: bool = True
    proxy: str = ""  # the command whose stdin and stdout are the connection

    @property
    def command(self) -> str:
        """What a person types to get there."""
        port = [] if self.port == DEFAULT_PORT else ["-p", str(self.port)]
        return shlex.join(["ssh", *port, f"{self.user}@{self.host}"])


def own_target(address: str, port: int = DEFAULT_PORT, *, home: Path | None = None) -> Target:
    """`address` is host or user@host, a name of ~/.ssh/config too; `port` 22 means "not said".

    Honoured: HostName, User, Port, IdentityFile, IdentitiesOnly, ProxyJump, ProxyCommand.
    Raises Refused when ~/.ssh/config cannot be read.
    """
    folder = (home or Path.home()) / ".ssh"
    user, _, name = address.rpartition("@")
    said = _config(folder / "config", name, user=user, port=port)
    files = [Path(file).expanduser() for file in said.get("identityfile", [])]
    files = files or [folder / key for key in DEFAULT_KEYS]
    host, port = str(said.get("hostname", name)), int(said.get("port", DEFAULT_PORT))
    return Target(
        host=host,
        port=port,
        user=said.get("user") or getpass.getuser(),
        keys=tuple(file for file in files if file.is_file()),
        agent=said.get("identitiesonly", "no").lower() != "yes",
        proxy=_proxy(said, host, port),
    )


def connect_own(
    address: str, port: int = DEFAULT_PORT, *, home: Path | None = None, timeout: float = 20
) -> Shell:
    """An open connection whose commands run as root; `home` holds the .ssh folder to go by.

    Raises NotYet when nobody answers, Refused for what a person must settle first: the host key,
    the login, sudo.
    """
    target = own_target(address, port, home=home)
    known = (home or Path.home()) / ".ssh" / "known_hosts"
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_RefuseUnknown(target, known))
    for file in (SYSTEM_KNOWN_HOSTS, known):
        if file.is_file():
            client.load_system_host_keys(str(file))
    proxy = None
    try:
        if target.proxy:
            proxy = _begun(target)
        _log_in(client, target, proxy, timeout)
        transport = client.get_transport()
        if transport is None:
            raise NotYet("SSH does not answer: the connection is closed")
        transport.set_keepalive(15)
        key = transport.get_remote_server_key()
        shown = f"{key.get_name()} {key.get_base64()}"
        return _OwnShell(client, shown, as_root=_as_root(client, shown, target), proxy=proxy)
    except BaseException:
        _close(client, proxy)
        raise


class _OwnShell(Shell):
    """A shell that takes its proxy command with it when it goes."""

    def __init__(
        self,
        client: paramiko.SSHClient,
        host_key: str,
        *,
        as_root: str,
        proxy: paramiko.ProxyCommand | None,
    ) -> None:
        super().__init__(client, host_key, as_root=as_root)
        self._proxy = proxy

    def close(self) -> None:
        _close(self._client, self._proxy)


class _RefuseUnknown(paramiko.MissingHostKeyPolicy):
    """Says what was shown, so that it can be compared with what the machine's owner says."""

    def __init__(self, target: Target, known: Path) -> None:
        self._target, self._known = target, known

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        raise Refused(
            f"The host key of {hostname} is not in {self._known}; it shows {key.get_name()}"
            f" SHA256:{digest}",
            hint=f"{self._target.command}   (once; compare the fingerprint, then answer yes)",
        )


def _log_in(
    client: paramiko.SSHClient, target: Target, proxy: paramiko.ProxyCommand | None, timeout: float
) -> None:
    where = f"{target.user}@{target.host}"
    try:
        client.connect(
            target.host,
            target.port,
            username=target.user,
            key_filename=[str(file) for file in target.keys],  # type: ignore[arg-type] # of stubs
            look_for_keys=False,  # `keys` has them
            allow_agent=target.agent,
            sock=proxy,
            timeout=timeout,
            banner_timeout=timeout,
            auth_timeout=timeout,
        )
    except paramiko.BadHostKeyException:
        raise Refused(
            f"{target.host} shows another host key than the one in known_hosts",
            hint=f"ask its owner; if that is right: ssh-keygen -R {_known_as(target)},"
            f" then {target.command}",
        ) from None
    except paramiko.PasswordRequiredException:
        raise Refused(
            f"The key for {where} has a passphrase, and no agent holds it", hint=_add(target)
        ) from None
    except paramiko.AuthenticationException:
        raise Refused(
            f"{where} lets none of your keys in", hint=f"ssh-copy-id {where}, or: {_add(target)}"
        ) from None
    except FileNotFoundError as error:  # of the proxy command
        raise Refused(f"{error.filename} is not installed; {where} is reached with it") from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        if "No authentication methods available" in str(error):
            raise Refused(f"There is no key to log in with as {where}", hint=_add(target)) from None
        raise NotYet(
            f"{target.host} does not answer SSH at port {target.port}:"
            f" {_said(proxy) or words_of(error)}",
            hint=target.command,
        ) from None


def _as_root(client: paramiko.SSHClient, shown: str, target: Target) -> str:
    """Raises Refused when neither the login nor sudo makes commands root's."""
    plain = Shell(client, shown, as_root="")
    if plain.run("id -u").out.strip() == "0":
        return ""
    if plain.run("sudo -n true").ok:
        return "sudo -n"
    raise Refused(
        f"{target.user} of {target.host} cannot become root without a password",
        hint=f"as root there: echo '{target.user} ALL=(ALL) NOPASSWD:ALL'"
        f" > /etc/sudoers.d/{target.user}; or log in as root",
    )


def _config(path: Path, name: str, *, user: str, port: int) -> paramiko.SSHConfigDict:
    """What was typed stands first, and in this file the first word wins."""
    typed = ["Host *"]
    typed += [f"User {user}"] if user else []
    typed += [f"Port {port}"] if port != DEFAULT_PORT else []
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return paramiko.SSHConfig.from_text("\n".join([*typed, text])).lookup(name)
    except (OSError, UnicodeDecodeError, ImportError, paramiko.SSHException) as error:
        raise Refused(f"{path} cannot be used: {error}", hint=f"ssh -G {name}") from None


def _proxy(said: paramiko.SSHConfigDict, host: str, port: int) -> str:
    """OpenSSH itself goes the first part of the way, with its own care for host keys there."""
    jumps = str(said.get("proxyjump", "none"))
    if jumps.lower() != "none":
        *before, last = jumps.split(",")
        first = ["-J", ",".join(before)] if before else []
        user, _, place = last.rpartition("@")
        name, colon, number = place.rpartition(":")
        at = ["-p", number] if colon and number.isdigit() and "]" not in number else []
        place = name if at else place
        via = f"{user}@{place}" if user else place
        return shlex.join(
            ["ssh", "-o", "BatchMode=yes", *first, *at, "-W", _with_port(host, port), via]
        )
    command = str(said.get("proxycommand") or "none")
    return "" if command.lower() == "none" else command


def _begun(target: Target) -> paramiko.ProxyCommand:
    try:
        return paramiko.ProxyCommand(target.proxy)
    except (OSError, ValueError) as error:
        raise Refused(
            f"The proxy command for {target.host} can't be run: {error}", hint=target.command
        ) from None


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _known_as(target: Target) -> str:
    if target.port == DEFAULT_PORT:
        return target.host
    return shlex.quote(f"[{target.host}]:{target.port}")


def _add(target: Target) -> str:
    return f"ssh-add {shlex.quote(str(target.keys[0]))}" if target.keys else "ssh-add FILE"


def _said(proxy: paramiko.ProxyCommand | None) -> str:
    """The last words of a proxy command that gave up."""
    if proxy is None or proxy.process.poll() is None or proxy.process.stderr is None:
        return ""
    lines = proxy.process.stderr.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _close(client: paramiko.SSHClient, proxy: paramiko.ProxyCommand | None) -> None:
    transport = client.get_transport()
    client.close()
    if proxy is None:
        return
    if transport is not None:
        transport.join(timeout=5)  # its thread reads from the pipes that are closed below
    with contextlib.suppress(ProcessLookupError):
        proxy.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        proxy.process.wait(timeout=5)
    for pipe in (proxy.process.stdin, proxy.process.stdout, proxy.process.stderr):
        if pipe:
            pipe.close()
