"""Repositories, by the operator's own git: its credentials and keys stay on this computer.

Git never asks anything here: a question in the midst of a launch would wait for ever.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from provisioner.errors import Refused
from provisioner.models import Checkout, Finding, Findings, MaterialsSource, Severity

LOOK = 60.0
"""Seconds for a repository to say which branches it has."""

SILENCE = 300.0
"""Seconds without a word of git's after which nobody waits for it: ssh would wait for ever."""

STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
INSTALL = "apt-get install git; on macOS: xcode-select --install or brew install git"
NO_LFS = (
    *("-c", "filter.lfs.required=false", "-c", "filter.lfs.process="),
    *("-c", "filter.lfs.smudge=cat", "-c", "filter.lfs.clean=cat"),
)

HINTS = (
    (
        r"could not read (Username|Password)|Authentication failed|terminal prompts disabled"
        r"|returned error: 40[13]",
        "type once: git ls-remote {url}   and let a credential helper keep what git asks",
    ),
    (r"Permission denied \(publickey", "ssh-add, so that your agent has the key for {host}"),
    (r"Host key verification failed", "type once: ssh -T {host}   to get to know it"),
    (r"Could not resolve host", "is this computer on the network, and the name right?"),
    (
        r"not found|does not exist|does not appear to be a git repository",
        "check [materials] source, or --source",
    ),
)


class Git:
    """See protocols.Repositories."""

    def check(self, source: MaterialsSource) -> Findings:
        try:
            self._require()
            pattern = [f"refs/heads/{source.branch}"] if source.branch else ["HEAD"]
            words = ["ls-remote", "--exit-code", "--", source.source, *pattern]
            done = self._run(source.source, *words, timeout=LOOK, codes=(0, 2))
        except Refused as error:
            why = "; ".join([error.message, *error.details])
            return (Finding(Severity.ERROR, "materials", why, error.hint),)
        if done.returncode == 2:
            what = f"no branch {source.branch}" if source.branch else "no commits"
            return (Finding(Severity.ERROR, "materials", f"{redacted(source.source)} has {what}"),)
        return ()

    def fetch(self, source: MaterialsSource, into: Path, tell: Callable[[str], None]) -> Checkout:
        self._require()
        lfs = shutil.which("git-lfs") is not None
        extra = () if lfs else NO_LFS
        if not self._is_of(into, source):
            self._clone(source, into, extra, tell)
        else:
            self._update(source, into, extra, tell)
        branch = self._say(into, "symbolic-ref", "--short", "HEAD")
        warnings: tuple[str, ...] = ()
        if self._uses_lfs(into):
            if lfs:
                self._run(source.source, "-C", str(into), "lfs", "install", "--local")
                self._run(source.source, "-C", str(into), "lfs", "pull", tell=tell)
            else:
                warnings = (
                    f"{redacted(source.source)} keeps files in Git LFS, and git-lfs is not "
                    "installed: participants get pointers instead of these files",
                )
        return Checkout(branch, self._say(into, "rev-parse", "HEAD"), warnings)

    def mirror(self, checkout: Path, branch: str, into: Path) -> None:
        """What the branch reaches, and nothing else: the checkout has what was replaced, too."""
        words = ["clone", "--bare", "--progress", "--no-tags", "--single-branch", "--no-local"]
        words += ["--template=", f"--branch={branch}", "--", str(checkout), str(into)]
        self._run(str(checkout), *words)
        self._run(str(checkout), "-C", str(into), "remote", "remove", "origin")

    def _clone(
        self,
        source: MaterialsSource,
        into: Path,
        extra: tuple[str, ...],
        tell: Callable[[str], None],
    ) -> None:
        staging = into.with_name(f"{into.name}.new")
        shutil.rmtree(staging, ignore_errors=True)
        words = ["clone", "--progress", "--single-branch", "--no-tags", "--recurse-submodules"]
        words += ["--no-local"]  # a folder's objects would be copied whole, with what was undone
        words += [f"--branch={source.branch}"] if source.branch else []
        words += ["--", source.source, str(staging)]
        self._run(source.source, *STALLED, *extra, *words, tell=tell)
        if self._git("-C", str(staging), "rev-parse", "--verify", "-q", "HEAD").returncode:
            raise Refused(f"{redacted(source.source)} has no commits")
        shutil.rmtree(into, ignore_errors=True)
        staging.rename(into)

    def _update(
        self,
        source: MaterialsSource,
        into: Path,
        extra: tuple[str, ...],
        tell: Callable[[str], None],
    ) -> None:
        """Whatever is there by now, also after a force-push, and nothing that lay around."""
        at = (*STALLED, *extra, "-C", str(into))
        branch = self._say(into, "symbolic-ref", "--short", "HEAD")
        refs = f"+refs/heads/{branch}:refs/remotes/origin/{branch}"
        self._run(source.source, *at, "fetch", "--progress", "--no-tags", "origin", refs, tell=tell)
        self._run(source.source, *at, "reset", "--quiet", "--hard", f"refs/remotes/origin/{branch}")
        self._run(source.source, *at, "submodule", "--quiet", "sync", "--recursive")
        words = ("submodule", "update", "--init", "--recursive", "--force", "--progress")
        self._run(source.source, *at, *words, tell=tell)
        self._run(source.source, *at, "clean", "-ffdxq")

    def _is_of(self, into: Path, source: MaterialsSource) -> bool:
        """Whether there is a clone of just this already."""
        if not (into / ".git").exists():
            return False
        at = ("-C", str(into))
        url = self._git(*at, "config", "--get", "remote.origin.url").stdout.strip()
        branch = self._git(*at, "symbolic-ref", "--short", "-q", "HEAD").stdout.strip()
        return url == source.source and branch != "" and source.branch in {"", branch}

    def _uses_lfs(self, into: Path) -> bool:
        words = ("grep", "--quiet", "-e", "filter=lfs", "HEAD", "--", ":(glob)**/.gitattributes")
        return self._git("-C", str(into), *words).returncode == 0

    def _say(self, into: Path, *words: str) -> str:
        done = self._git("-C", str(into), *words)
        if done.returncode:
            raise Refused(
                f"{into} is not as it was left", hint=f"delete {into}, then type it again"
            )
        return done.stdout.strip()

    def _require(self) -> None:
        if shutil.which("git") is None:
            raise Refused(
                "git is not installed, and the materials are in a repository", hint=INSTALL
            )

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A question about what is here. Raises Refused when there is no answer."""
        try:
            return subprocess.run(
                ["git", *words],
                env=_environment(),
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=LOOK,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Refused(
                f"git {' '.join(words)} had no answer for {LOOK:.0f} s",
                hint="is the disk that it is on still there?",
            ) from None

    def _run(
        self,
        url: str,
        *words: str,
        tell: Callable[[str], None] = lambda _: None,
        timeout: float = 0,
        codes: tuple[int, ...] = (0,),
    ) -> subprocess.CompletedProcess[str]:
        """Raises Refused with git's own words, and what to do about them.

        `timeout`: seconds of silence; 0 is SILENCE.
        """
        process = subprocess.Popen(
            ["git", *words],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal: neither git nor ssh can ask
        )
        try:
            said = _listen(process, url, tell, timeout or SILENCE)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if process.returncode not in codes:
            raise _refusal(url, said)
        return subprocess.CompletedProcess(process.args, process.returncode, "", "\n".join(said))


def _listen(
    process: subprocess.Popen[bytes], url: str, tell: Callable[[str], None], silence: float
) -> list[str]:
    """What git says on stderr, line by line; its progress ends with carriage returns.

    It is over when git has ended: an ssh that stays for the next one holds its stderr open.
    """
    lines: list[str] = []
    rest = ""
    heard = time.monotonic()
    with cast("BinaryIO", process.stderr) as stream:
        while True:
            if not select.select([stream], [], [], 0.5)[0]:
                if process.poll() is not None:
                    break
                if time.monotonic() - heard > silence:
                    raise _silent(url, silence, lines)
                continue
            chunk = os.read(stream.fileno(), 4096)
            if not chunk:
                break
            heard = time.monotonic()
            *whole, rest = re.split(r"[\r\n]", rest + chunk.decode(errors="replace"))
            lines = [*lines, *(line.strip() for line in whole if line.strip())][-40:]
            if lines:
                tell(lines[-1])
    try:
        process.wait(timeout=silence)
    except subprocess.TimeoutExpired:
        raise _silent(url, silence, lines) from None
    return [*lines, rest.strip()] if rest.strip() else lines


def _silent(url: str, silence: float, lines: list[str]) -> Refused:
    return Refused(
        f"{redacted(url)}: git heard nothing for {silence:.0f} s",
        details=tuple(re.sub(r"(://)[^/@\s]+@", r"\1", line) for line in lines[-2:]),
        hint="is the network there? Then type it again",
    )


def _refusal(url: str, said: list[str]) -> Refused:
    words = "\n".join(said)
    place = redacted(url)
    host = urlsplit(url).hostname or url.partition(":")[0]
    hints = [hint for pattern, hint in HINTS if re.search(pattern, words)]
    lines = [re.sub(r"(://)[^/@\s]+@", r"\1", line) for line in said]
    telling = [line for line in lines if re.match(r"(fatal|error|ssh|remote|ERROR)\b", line)]
    return Refused(
        f"{place} could not be fetched",
        details=tuple((telling or lines)[-4:]),
        hint=(hints[0] if hints else "git ls-remote {url}").format(url=place, host=host),
    )


def redacted(url: str) -> str:
    """Without anybody's name in it."""
    return re.sub(r"(://)[^/@]+@", r"\1", url)


def _environment() -> dict[str, str]:
    """The operator's own, but for a repository that we may have been started in."""
    own = {key: value for key, value in os.environ.items() if key not in _WHERE}
    said = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_FORCE_PROGRESS": "1", "LC_ALL": "C"}
    return own | said


_WHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
