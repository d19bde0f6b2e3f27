"""The main job for real: launch, a participant at work, a reboot, teardown, nothing left.

The tests of this module are one story and run in their order. It takes about twenty minutes
where machines are emulated, a few minutes where they are not.
"""

from __future__ import annotations

import base64
import json
import shlex
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.remote.hub import Participant, Site
from provisioner.store import read_events
from provisioner.workflow.archive import opened
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.e2e.browser import Browser, chromium
from tests.e2e.machine import Cli, artefacts, measured, stopwatch
from tests.e2e.quota import fill

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

DISK = 2 * 1024**3  # what a participant has, if nothing else is said

HOME = "/opt/provision/homes/user01/home"

PLOT = (
    "%matplotlib inline\n"
    "import numpy as np, matplotlib.pyplot as plt\n"
    "x = np.linspace(0, 6, 200); _ = plt.plot(x, np.sin(x))"
)


def machines(cli: Cli) -> list[psutil.Process]:
    """QEMU processes that have anything of this test's home open or in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if "qemu-system" in words and str(cli.home) in words:
            found.append(process)
    return found


def certificate(cli: Cli, url: str) -> bytes:
    """What the server shows, after verification against the workshop's CA."""
    context = ssl.create_default_context(cafile=str(cli.home / "tessera" / "ca.crt"))
    port = int(url.rsplit(":", 1)[1])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown
    return shown


@contextmanager
def serving() -> Iterator[int]:
    """A web server on this computer's loopback; answers with its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def launched(cli: Cli) -> Any:
    """Baked first, so that the launch's own time is known; then launched, with two deaths."""
    with stopwatch("bake_seconds"):
        cli("bake", "--yes")
    with stopwatch("bake_cached_seconds"):
        cli("bake")
    words = ("launch", "--yes")
    start = time.monotonic()
    cli.killed_at(words, '"step": "ssh"')
    assert len(machines(cli)) == 1, "the machine outlives the command line"
    cli.killed_at(words, '"step": "services"')
    assert len(machines(cli)) == 1, "the second launch went on with the same machine"
    result = cli.json("launch", "--yes")
    measured(launch_with_two_kills_seconds=round(time.monotonic() - start, 1))
    assert len(machines(cli)) == 1
    return result


def test_launch_survives_two_kills_and_ends_ready(cli: Cli, launched: Any) -> None:
    assert launched["phase"] == "ready"
    assert [item["username"] for item in launched["credentials"]] == [
        "user01",
        "user02",
        "instructor",
    ]
    assert launched["url"].startswith("https://localhost:")
    steps = {
        event["step"]
        for event in read_events(cli.home / "tessera" / "events.jsonl")
        if event.get("outcome") == "ok"
    }
    assert {"ssh", "host-key", "cloud-init", "images", "https", "login", "server", "cell"} <= steps
    measured(rung_seconds=launched["timings"])


def test_launching_again_is_quick_and_changes_nothing(cli: Cli, launched: Any) -> None:
    again = cli.json("launch", "--yes")
    assert again["credentials"] == launched["credentials"]
    assert again["url"] == launched["url"]
    seen = cli("ssh", "--", "sudo docker exec jupyter-user01 cat /tessera/tile.txt").stdout
    assert seen == "a tile of embeddings\n", "a server that ran meanwhile has its data still"


def test_status_sees_everything(cli: Cli, launched: Any) -> None:
    seen = cli.json("status")
    assert {check["name"]: check["ok"] for check in seen["checks"]} == {
        "machine": True,
        "https": True,
        "ssh": True,
        "caddy": True,
        "hub": True,
        "proxy": True,
    }
    people = {item["username"]: item for item in seen["participants"]}
    assert people["user01"]["server"] == "running", "the launch tried it out"
    assert people["user01"]["memory_bytes"] > 0
    assert people["user01"]["disk_limit_bytes"] > 0
    assert people["user02"]["state"] == "never logged in"
    assert 0 < seen["seconds_left"] <= 12 * 3600


def test_the_machine_from_inside(cli: Cli, launched: Any) -> None:
    def on_server(command: str) -> str:
        return cli("ssh", "--", command).stdout.strip()

    status = json.loads(on_server("cloud-init status --format json"))
    assert (status["status"], status["errors"]) == ("done", [])
    assert status["recoverable_errors"] == {}
    timers = on_server("systemctl list-timers --all --no-pager")
    assert "provision-deadline.timer" in timers
    shown = on_server("sudo ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key").split()[1]
    assert shown not in on_server("cat /opt/provision/injected-host-key.pub")
    assert shown in (cli.home / "tessera" / "known_hosts").read_text()
    secrets = on_server(
        "sudo stat -c %a:%U /opt/provision/secrets /opt/provision/secrets/users.json"
    )
    assert secrets.split() == ["700:root", "600:root"]
    for item in launched["credentials"]:
        # Not as an argument: sudo writes those to the journal, where it would then be found.
        hidden = base64.b64encode(item["password"].encode()).decode()
        found = on_server(
            f"echo {hidden} | base64 -d | sudo grep -rlF -f - /opt/provision /var/lib/cloud "
            "/var/log 2> /dev/null | wc -l"
        )
        assert found == "0", "no password is on the server"


def test_a_participant_is_kept_in_bounds(cli: Cli, launched: Any) -> None:
    inspected = cli("ssh", "--", "sudo docker inspect jupyter-user01").stdout
    (container,) = json.loads(inspected)
    limits = container["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] == 1024**3
    assert limits["PidsLimit"] == 512
    assert limits["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in limits["SecurityOpt"]
    assert limits["ReadonlyRootfs"] is True
    assert not any("docker.sock" in str(mount) for mount in container["Mounts"])
    (data,) = [mount for mount in container["Mounts"] if mount["Destination"] == "/tessera"]
    assert data["RW"] is False


def test_participants_code_reaches_the_internet_but_not_the_operator(
    cli: Cli, launched: Any
) -> None:
    """From inside a participant's container; the last answer shows that the others could fail."""

    def fetch(where: str, url: str) -> str:
        prefix = "sudo docker exec jupyter-user01" if where == "participant" else ""
        ask = f"curl -s -m 20 -o /dev/null -w '%{{http_code}}' {url} || true"
        return cli("ssh", "--", f"{prefix} {ask}").stdout.strip()

    router = cli("ssh", "--", "ip -4 route show default | cut -d' ' -f3").stdout.strip()
    with serving() as port:  # on the operator's loopback, which a machine's router leads to
        operator = f"http://{router}:{port}/"
        assert fetch("machine", operator) == "200"
        assert fetch("participant", operator) == "000"
    assert fetch("participant", "http://169.254.169.254/latest/meta-data/") == "000"
    assert fetch("participant", "http://hub:8081/hub/health") == "000"
    assert fetch("participant", "http://gate:8082/hub/api/") == "200"


def test_a_wrong_password_and_an_unknown_name_stay_out(cli: Cli, launched: Any) -> None:
    site = Site(launched["url"], cli.home / "tessera" / "ca.crt")
    right = launched["credentials"][0]["password"]
    for username, password in (("user02", right), ("user99", right), ("user01", "wrong")):
        with Participant(site, username, password) as person, pytest.raises(NotReady):
            person.login()


def test_nobody_fills_more_than_their_own_disk(cli: Cli, launched: Any) -> None:
    """The kernel's own quota; at the same time a second participant has come."""
    person = launched["credentials"][1]
    site = Site(launched["url"], cli.home / "tessera" / "ca.crt")
    with Participant(site, person["username"], person["password"]) as neighbour:
        neighbour.login()

        def started() -> None:
            if not neighbour.server_ready():
                raise NotYet("the hub is starting the server")

        wait_for(started, budget=600, clock=SystemClock())

    def on_machine(command: str) -> str:
        hidden = f"sudo sh -c {shlex.quote(command + ' 2>&1; true')}"
        return cli("ssh", "--", hidden).stdout

    fill(on_machine, "user01", person["username"], DISK)


def test_the_organisers_day(cli: Cli, launched: Any) -> None:
    """Each verb once on a real machine; what they do in all cases is seen on an engine."""
    notebooks = cli.folder / "notebooks"
    notebooks.mkdir()
    (notebooks / "lesson.txt").write_text("first\n")
    cli("push", "--source", "notebooks")
    delivered = f"sudo cat {HOME}/notebooks/lesson.txt"
    assert cli("ssh", "--", delivered).stdout == "first\n"
    (notebooks / "lesson.txt").write_text("corrected\n")
    cli("push")
    assert cli("ssh", "--", delivered).stdout == "corrected\n"
    assert cli("exec", "user01", "--", "id", "-un").stdout == "jovyan\n"
    site = Site(launched["url"], cli.home / "tessera" / "ca.crt")
    old = launched["credentials"][1]
    cli("users", "reset", "user02")
    with Participant(site, "user02", old["password"]) as person, pytest.raises(NotReady):
        person.login()
    sheet = cli.json("credentials")
    (new,) = (item["password"] for item in sheet if item["username"] == "user02")
    with Participant(site, "user02", new) as person:
        person.login()
    launched["credentials"] = sheet
    with stopwatch("backup_seconds"):
        cli("backup", "--output", "copy")
    with opened(cli.folder / "copy" / "user01.tar.zst") as archive:
        assert "./notebooks/lesson.txt" in archive.getnames()


@pytest.fixture(scope="module")
def browser(cli: Cli, launched: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("chromium")
    with chromium(folder, cli.home / "tessera" / "ca.crt") as driver:
        yield Browser(driver)


def test_a_participant_plots_in_a_real_browser(cli: Cli, launched: Any, browser: Browser) -> None:
    person = launched["credentials"][0]
    try:
        browser.log_in(launched["url"], person["username"], person["password"])
        browser.lab()
        browser.new_notebook()
        browser.run_cell("import os; print(os.listdir(os.environ['TESSERA_DATA_DIR']))")
        browser.run_cell("import geotessera; print('geotessera', geotessera.__version__)")
        browser.run_cell(PLOT)
        browser.see(".jp-OutputArea-output img")
        said = [item.text for item in browser.driver.find_elements("css selector", "pre")]
        assert any("tile.txt" in text for text in said)
        assert any("geotessera" in text for text in said)
    finally:
        browser.screenshot(artefacts() / "lab.png")
    browser.save()


def test_a_reboot_keeps_homes_logins_and_certificate(
    cli: Cli, launched: Any, browser: Browser
) -> None:
    before = certificate(cli, launched["url"])
    boot = cli("ssh", "--", "cat /proc/sys/kernel/random/boot_id").stdout
    # The connection ends under the command, so its exit code says nothing.
    cli("ssh", "--", "sudo systemd-run --on-active=1 systemctl reboot")
    start = time.monotonic()
    deadline = start + 900
    while time.monotonic() < deadline:
        time.sleep(5)
        seen = cli.json("status")
        if all(check["ok"] for check in seen["checks"]) and len(seen["checks"]) > 3:
            now = cli("ssh", "--", "cat /proc/sys/kernel/random/boot_id").stdout
            if now != boot:
                break
    else:
        pytest.fail("the workshop did not come back")
    measured(reboot_seconds=round(time.monotonic() - start, 1))
    assert certificate(cli, launched["url"]) == before, "no new certificate was made"
    assert len(machines(cli)) == 1
    # The same browser, without typing a password again: the login was kept.
    browser.driver.get(f"{launched['url']}/hub/spawn")
    browser.lab()
    assert "Untitled.ipynb" in cli("ssh", "--", f"sudo ls {HOME}").stdout
    browser.screenshot(artefacts() / "lab-after-reboot.png")


def test_a_power_cut_loses_nothing_that_was_saved(
    cli: Cli, launched: Any, browser: Browser
) -> None:
    """Nobody says goodbye to the file systems; launching again goes on with the same disk."""
    before = certificate(cli, launched["url"])
    cli("ssh", "--", f"echo kept | sudo tee {HOME}/note.txt; sudo sync")
    (machine,) = machines(cli)
    machine.kill()
    machine.wait(30)
    with stopwatch("power_cut_seconds"):
        again = cli.json("launch", "--yes")
    assert again["credentials"] == launched["credentials"]
    assert certificate(cli, launched["url"]) == before, "no new certificate was made"
    assert cli("ssh", "--", f"sudo cat {HOME}/note.txt").stdout == "kept\n"
    assert "prjquota" in cli("ssh", "--", "grep /opt/provision/homes /proc/mounts").stdout
    browser.driver.get(f"{launched['url']}/hub/spawn")
    browser.lab()


def test_logs_of_services_people_and_console(cli: Cli, launched: Any) -> None:
    assert "JupyterHub" in cli("logs", "tessera", "hub").stdout
    assert cli("logs", "tessera", "user01").stdout
    assert "Linux version" in cli("logs", "tessera", "--console", "--tail", "5000").stdout
    said = cli("logs", "tessera", "--tail", "2000").stdout
    assert not any(item["password"] in said for item in launched["credentials"])


def test_a_port_that_is_taken_is_refused(cli: Cli, launched: Any) -> None:
    port = launched["url"].rsplit(":", 1)[1]
    other = cli.folder / "other.toml"
    other.write_text(f'name = "other"\nusers = 1\n[local]\nhttps_port = {port}\n')
    done = cli("launch", "--config", "other.toml", "--yes", code=3)
    assert port in done.stderr
    assert not (cli.home / "other").exists()


def test_teardown_brings_the_work_home_and_leaves_nothing(cli: Cli, launched: Any) -> None:
    port = int(launched["url"].rsplit(":", 1)[1])
    with stopwatch("teardown_with_backup_seconds"):
        done = cli.json("teardown", "--yes")
    assert done["leftovers"] == []
    with opened(Path(done["backup"]) / "user01.tar.zst") as archive:
        assert "./Untitled.ipynb" in archive.getnames()
    assert machines(cli) == []
    assert not (cli.home / "tessera").exists()
    assert str(cli.home) not in Path("/proc/mounts").read_text()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    assert cli.json("list") == []
    assert "nothing to do" in cli("teardown").stdout


def test_a_launch_killed_right_after_the_machine_began_is_torn_down(cli: Cli) -> None:
    cli.killed_at(("launch", "--yes"), '"step": "ssh"')
    assert len(machines(cli)) == 1
    (cli.home / "tessera" / "record.json").write_text("{ torn")
    with stopwatch("teardown_seconds"):
        cli("teardown", "--yes")
    assert machines(cli) == []
    assert not (cli.home / "tessera").exists()
