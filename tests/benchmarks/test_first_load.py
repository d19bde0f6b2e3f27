"""What a browser fetches for Lab: through the bundle's Caddyfile, the plainest one, and one that
packs everything on its way.

Bytes and requests as the browser counts them (Resource Timing: 300 bytes for each answer's header
fields, nothing for what came from its cache); WebSockets are not among them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.render import commands
from tests.engine.conftest import workshop  # noqa: F401 - a fixture
from tests.engine.workshop import Workshop, why_not

PLAIN = """
{
	admin unix//run/caddy.sock
	persist_config off
	skip_install_trust
	default_sni {$PROVISION_SITE}
	pki {
		ca local {
			name "Workshop"
			intermediate_lifetime 90d
		}
	}
}
http://127.0.0.1:8080 {
	respond /healthy 200
}
http://:8082 {
	reverse_proxy hub:8081
}
{$PROVISION_SITE} {
	tls {
		issuer internal {
			lifetime 30d
		}
	}
	reverse_proxy proxy:8000
}
"""
PACKING = PLAIN.replace("reverse_proxy proxy", "encode zstd gzip\n\treverse_proxy proxy")
WIFI = {"offline": False, "latency": 40, "downloadThroughput": 5e5, "uploadThroughput": 5e5}
"""A place in a full room: 4 Mbit/s, in bytes a second; milliseconds."""

AS_IT_IS = "caddy reload --config /etc/caddy/Caddyfile"
FROM_STDIN = "caddy reload --config /dev/stdin --adapter caddyfile"
REMEMBER_ALL = "performance.setResourceTimingBufferSize(5000)"
COUNT = """
const all = performance.getEntriesByType("resource")
    .concat(performance.getEntriesByType("navigation"))
    .filter(entry => entry.transferSize > 0);
return [all.length, all.reduce((sum, entry) => sum + entry.transferSize, 0)];
"""


@dataclass(frozen=True)
class Load:
    requests: int
    size: int  # bytes
    seconds: float
    cpu: float  # seconds of the participant's container


def cpu(workshop: Workshop, username: str) -> float:  # noqa: F811
    """CPU seconds that the participant's container has used."""
    done = workshop.in_container(
        username, "cat /sys/fs/cgroup/cpuacct/cpuacct.usage || cat /sys/fs/cgroup/cpu.stat"
    )
    words = done.out.split()
    return int(words[0]) / 1e9 if words[0].isdigit() else int(words[1]) / 1e6


def loads(workshop: Workshop, folder: Path, username: str) -> Iterator[Load]:  # noqa: F811
    """Lab opened by a new browser, then once more by the same one; the server runs already."""
    from tests.e2e.browser import Browser, chromium

    credential = workshop.credentials[username]
    lab = f"{workshop.url}/user/{username}/lab"
    with chromium(folder, workshop.ca) as driver:
        source = {"source": REMEMBER_ALL}
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
        browser = Browser(driver)
        browser.log_in(f"{workshop.url}/hub/login?next=/hub/home", username, credential.password)
        browser.see("#start")
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", WIFI)
        for _ in range(2):
            begin, used = time.monotonic(), cpu(workshop, username)
            browser.lab(lab)
            browser.see(".jp-LauncherCard")
            seconds = time.monotonic() - begin
            time.sleep(3)  # what Lab fetches when it stands
            requests, size = driver.execute_script(COUNT)
            yield Load(requests, size, seconds, cpu(workshop, username) - used)
            driver.get("about:blank")


def caddy(workshop: Workshop, command: str, stdin: str = "") -> None:  # noqa: F811
    words = commands.compose("exec", "-T", "caddy", "sh", "-c", command)
    done = workshop.run(words, stdin=stdin.encode())
    assert done.ok, done.err


@pytest.mark.docker
@pytest.mark.e2e
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_first_load(workshop: Workshop, tmp_path: Path) -> None:  # noqa: F811
    opened: dict[str, list[Load]] = {}
    with workshop.serving("user02"):
        for name, text in (("plain", PLAIN), ("packing", PACKING), ("ours", "")):
            (tmp_path / name).mkdir()
            caddy(workshop, FROM_STDIN if text else AS_IT_IS, text)
            try:
                opened[name] = list(loads(workshop, tmp_path / name, "user02"))
            finally:
                caddy(workshop, AS_IT_IS)
    print("\n| opening Lab | requests | MB on the wire | s at 4 Mbit/s | CPU s of the server |")
    print("| --- | --- | --- | --- | --- |")
    for name, pair in opened.items():
        for which, load in zip(("first", "again"), pair, strict=True):
            cells = [f"{which}, {name}", f"{load.requests}", f"{load.size / 1e6:.2f}"]
            print("| " + " | ".join([*cells, f"{load.seconds:.1f}", f"{load.cpu:.1f}"]) + " |")
    plain, ours = opened["plain"], opened["ours"]
    assert ours[0].size < 0.6 * plain[0].size
    assert ours[0].size < 0.95 * opened["packing"][0].size
    assert ours[1].size < 0.2 * ours[0].size
