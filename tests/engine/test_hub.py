"""The hub as it is asked, logged into and administered, on a workshop that runs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner import keys
from provisioner.errors import NotReady, NotYet, ProvisionError
from provisioner.remote.hub import NAVIGATE, Participant, Site
from provisioner.render import commands, hub, looking
from provisioner.workflow.hub import ask, end_sessions
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine.workshop import Workshop

CULL = "PROVISION_CULL_IDLE"


def users(workshop: Workshop) -> dict[str, Any]:
    read = workshop.run(commands.read_file(commands.USERS_FILE))
    found: dict[str, Any] = json.loads(read.out)["users"]
    return found


def put_users(workshop: Workshop, wanted: dict[str, Any]) -> None:
    """As a verb does it on a workshop that runs: nothing is restarted."""
    text = json.dumps({"version": 1, "users": wanted}, indent=1).encode()
    assert workshop.run(commands.write_file(commands.USERS_FILE, len(text)), stdin=text).ok


def put(workshop: Workshop, path: str, content: bytes, mode: str = "0644") -> None:
    assert workshop.run(commands.write_file(path, len(content), mode), stdin=content).ok


@contextmanager
def other_users(workshop: Workshop, wanted: dict[str, Any]) -> Iterator[None]:
    before = users(workshop)
    put_users(workshop, wanted)
    try:
        yield
    finally:
        put_users(workshop, before)


def new_visitor(workshop: Workshop, username: str, password: str) -> Participant:
    return Participant(Site(workshop.url, workshop.ca), username, password)


def eventually(so: Callable[[], bool], what: str, budget: float = 60) -> None:
    def look() -> None:
        if not so():
            raise NotYet(what)

    wait_for(look, budget=budget, clock=SystemClock())


def api(visitor: Participant, method: str, path: str) -> int:
    return visitor._api(method, path).status_code


def test_the_machine_asks_its_own_hub(workshop: Workshop) -> None:
    listed, missing = ask(
        workshop.engine,  # type: ignore[arg-type]
        [hub.question("GET", "/users"), hub.question("GET", hub.user_path("no-body"))],
    )
    assert listed.status == 200
    assert "user01" in {user["name"] for user in listed.body}
    assert missing.status == 404


def test_what_asks_may_not_end_the_hub_or_read_anybodys_files(workshop: Workshop) -> None:
    refused = ask(
        workshop.engine,  # type: ignore[arg-type]
        [hub.question("POST", "/shutdown"), hub.question("GET", "/users/user01/tokens")],
    )
    assert [answer.status for answer in refused] == [403, 403]


def test_an_instructor_sees_and_helps_everybody_and_owns_nothing(workshop: Workshop) -> None:
    with workshop.serving("user02"), workshop.visitor("instructor") as instructor:
        page = instructor._client.get("/hub/admin", headers=NAVIGATE)
        assert page.status_code == 200
        people = instructor._api("GET", "/users?include_stopped_servers=1").json()
        found = next(person for person in people if person["name"] == "user02")
        assert found["servers"][""]["ready"]
        assert found["last_activity"]
        for method, path in [
            ("DELETE", "/users/user02"),
            ("POST", "/users/somebody"),
            ("PATCH", "/users/instructor"),
            ("POST", "/users/user02/tokens"),
            ("GET", "/users/user02/tokens"),
            ("POST", "/shutdown"),
            ("GET", "/proxy"),
            ("POST", "/groups/others"),
        ]:
            assert api(instructor, method, path) in {403, 404}, (method, path)
        assert api(instructor, "DELETE", "/users/user02/server") in {202, 204}
        eventually(
            lambda: "" not in instructor._api("GET", "/users/user02").json()["servers"],
            "user02's server stops",
        )
        assert api(instructor, "POST", "/users/user02/server") in {201, 202}


def test_an_instructor_opens_a_participants_lab(workshop: Workshop) -> None:
    with workshop.serving("user02"), workshop.visitor("instructor") as instructor:
        page = instructor._client.get("/user/user02/lab", headers=NAVIGATE, follow_redirects=True)
        assert page.status_code == 200
        if "/oauth2/authorize" in page.url.path:  # "user02's server wants to know who you are"
            form = dict(re.findall(r'name="(_xsrf|scopes)" value="([^"]*)"', page.text))
            page = instructor._client.post(
                str(page.url), data=form, headers=NAVIGATE, follow_redirects=True
            )
        assert page.url.path == "/user/user02/lab"


def test_a_participant_is_nobody_elses_keeper(workshop: Workshop) -> None:
    with workshop.serving("user02"), workshop.visitor("user01") as visitor:
        assert visitor._client.get("/hub/admin", headers=NAVIGATE).status_code == 403
        people = visitor._api("GET", "/users")
        assert people.status_code == 403 or [it["name"] for it in people.json()] == ["user01"]
        for method, path in [
            ("GET", "/users/user02"),
            ("DELETE", "/users/user02/server"),
            ("POST", "/users/user03/server"),
            ("POST", "/users/instructor/tokens"),
        ]:
            assert api(visitor, method, path) in {403, 404}, (method, path)
        page = visitor._client.get("/user/user02/lab", headers=NAVIGATE, follow_redirects=True)
        assert page.status_code == 403


def test_the_log_of_logins_holds_no_password(workshop: Workshop) -> None:
    secret = f"typed-{time.time_ns()}"
    for name, password in [(secret, "x"), ("user01", secret), (f" {secret}", secret)]:
        with new_visitor(workshop, name, password) as visitor, pytest.raises(NotReady):
            visitor.login()
    logged = workshop.run(looking.logs([], tail=2000)).out
    assert "Failed login for 'user01'" in logged
    assert "Failed login for 'a name that nobody has'" in logged
    assert secret not in logged
    assert all(str(item.password) not in logged for item in workshop.credentials.values())


def test_a_room_that_logs_in_at_once(workshop: Workshop) -> None:
    """Everybody gets in, and the hashes do not pile up in memory: 16 MiB each."""
    hashed = keys.hash_password("room-word")
    room = {f"room{seat:02}": {"hash": hashed, "admin": False} for seat in range(30)}
    peak = "cat /sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current"
    in_hub = commands.compose("exec", "-T", "hub", "sh", "-c", f"{peak} 2> /dev/null || true")
    with other_users(workshop, users(workshop) | room):
        visitors = [new_visitor(workshop, name, "room-word") for name in room]
        before = workshop.run(in_hub).out.split()
        begun = time.monotonic()
        with ThreadPoolExecutor(30) as pool:
            list(pool.map(Participant.login, visitors))
        seconds = time.monotonic() - begun
        after = workshop.run(in_hub).out.split()
        for visitor in visitors:
            visitor.close()
        end_sessions(workshop.engine, list(room), SystemClock())  # type: ignore[arg-type]
    print(f"\n30 people logged in within {seconds:.1f} s; hub's memory {before} → {after}")


def test_who_is_taken_out_is_out_at_once_and_nothing_restarts(workshop: Workshop) -> None:
    started = workshop.run("docker inspect --format '{{.State.StartedAt}}' provision-hub-1").out
    left = {name: user for name, user in users(workshop).items() if name != "user03"}
    with workshop.visitor("user03") as visitor:
        assert api(visitor, "GET", "/users/user03") == 200
        with other_users(workshop, left):
            eventually(lambda: api(visitor, "GET", "/users/user03") == 403, "out", budget=20)
            home = visitor._client.get("/hub/home", headers=NAVIGATE)
            assert home.status_code == 302
            assert "/hub/login" in home.headers["location"]
            with pytest.raises(NotReady, match="refused the password"):
                visitor.login()
    with workshop.visitor("user03") as again:
        assert api(again, "GET", "/users/user03") == 200
    after = workshop.run("docker inspect --format '{{.State.StartedAt}}' provision-hub-1").out
    assert after == started


def test_a_reset_ends_the_old_sessions_and_nobody_elses(workshop: Workshop) -> None:
    everybody = users(workshop)
    changed = {"hash": keys.hash_password("fresh-word"), "admin": False}
    with workshop.serving("user03") as old, workshop.serving("user02") as other:
        assert other.run("kept = 7", 60) == ""
        with other_users(workshop, everybody | {"user03": changed}):
            begun = time.monotonic()
            end_sessions(workshop.engine, ["user03"], SystemClock())  # type: ignore[arg-type]
            print(f"\nsessions ended after {time.monotonic() - begun:.1f} s")
            assert "jupyter-user03" not in workshop.run("docker ps --format '{{.Names}}'").out
            assert api(old, "GET", "/users/user03") == 403
            with pytest.raises(NotReady, match="refused the password"):
                old.login()
            with new_visitor(workshop, "user03", "fresh-word") as fresh:
                fresh.login()
                eventually(fresh.server_ready, "the new server starts", budget=120)
                page = old._client.get("/user/user03/lab", headers=NAVIGATE, follow_redirects=True)
                assert "/hub/login" in page.url.path, "the old cookie opens the new server no more"
        assert other.run("print(6 * 7)", 60) == "42\n"
    end_sessions(workshop.engine, ["user03"], SystemClock())  # type: ignore[arg-type]


def test_a_name_with_all_that_names_may_have_is_its_containers(workshop: Workshop) -> None:
    """`status` and `logs` count on jupyter-NAME."""
    name, word = "ada_b-c2", "ada-word"
    everybody = users(workshop) | {name: {"hash": keys.hash_password(word), "admin": False}}
    with other_users(workshop, everybody), new_visitor(workshop, name, word) as visitor:
        visitor.login()
        with pytest.raises(ProvisionError, match="did not start"):  # no home, no quota, no server
            eventually(visitor.server_ready, "starts")
        workshop.run(
            f"install -d -m 700 -o 1000 -g 100 {commands.ROOT}/homes/{name}/home"
            f" {commands.ROOT}/homes/{name}/tmp"
        )
        visitor._asked = False
        eventually(visitor.server_ready, "starts", budget=120)
        assert f"jupyter-{name}" in workshop.run("docker ps --format '{{.Names}}'").out.split()
        assert visitor.run("print(open('/proc/self/mountinfo').read())", 60).count(name) == 2
        end_sessions(workshop.engine, [name], SystemClock())  # type: ignore[arg-type]


def test_nobody_breaks_their_own_server_with_files_of_theirs(workshop: Workshop) -> None:
    home = f"{commands.ROOT}/homes/user03/home"
    site = f"{home}/.local/lib/python3.13/site-packages"
    end_sessions(workshop.engine, ["user03"], SystemClock())  # type: ignore[arg-type]
    workshop.run(
        f"mkdir -p {site} && echo 'raise SystemExit' > {home}/jupyterhub.py"
        f" && cp {home}/jupyterhub.py {site}/"
        f" && echo 'mine = 7' > {site}/own_package.py && chown -R 1000:100 {home}"
    )
    try:
        with workshop.serving("user03") as visitor:
            assert visitor.run("import sys; print(sys.version_info[:2])", 60) == "(3, 13)\n"
            assert visitor.run("import own_package; print(own_package.mine)", 60) == "7\n"
    finally:
        workshop.run(f"rm -r {home}/jupyterhub.py {site}")


def test_a_server_that_the_hub_has_forgotten_does_not_lock_its_owner_out(
    workshop: Workshop,
) -> None:
    """As when Docker is restarted in the middle of a stop: it runs, and has the name."""
    with workshop.serving("user04") as visitor:
        visitor.stop_server()
    tag = workshop.run(". /opt/provision/bundle/.env; echo $PROVISION_TAG").out.strip()
    eventually(lambda: not workshop.run("docker inspect jupyter-user04").ok, "it is still there")
    run = "docker run --detach --name jupyter-user04 --network none"
    assert workshop.run(f"{run} provision-notebook:{tag} sleep 600").ok
    with workshop.serving("user04") as visitor:
        assert visitor.run("print(5 * 4)", timeout=60).strip() == "20"


def test_idle_servers_stop_only_where_that_was_asked_for(workshop: Workshop) -> None:
    bundle, culler = commands.BUNDLE, "jupyterhub_idle_culler"
    up = commands.compose("up", "--detach", "--no-build", "--wait", "hub")
    processes = "docker top provision-hub-1 -o pid,args"
    assert culler not in workshop.run(processes).out, "0 is never"
    kept = workshop.run(f"cat {bundle}/.env").out
    try:
        workshop.run(f"echo {CULL}=20 >> {bundle}/.env")
        assert workshop.run(up, timeout=120).ok
        assert culler in workshop.run(processes).out
        with workshop.serving("user04"):
            begun = time.monotonic()
            running = "docker ps --format '{{.Names}}'"
            eventually(lambda: "user04" not in workshop.run(running).out, "culled", budget=180)
        print(f"\nculled after {time.monotonic() - begun:.0f} s of idling, asked for 20")
    finally:
        command = commands.write_file(f"{bundle}/.env", len(kept.encode()), "0644")
        assert workshop.run(command, stdin=kept.encode()).ok
        assert workshop.run(up, timeout=120).ok
    assert culler not in workshop.run(processes).out


def test_open_labs_are_told_that_the_end_is_near(workshop: Workshop) -> None:
    timer = "/etc/systemd/system/provision-deadline.timer"
    up = commands.compose("up", "--detach", "--no-build", "--wait", "hub")
    kept = workshop.run(f"cat {commands.BUNDLE}/.env").out
    ends = datetime.now(UTC) + timedelta(minutes=4)
    workshop.run(f"echo OnCalendar={commands.calendar(ends)} > {timer}")
    try:
        workshop.run(f"echo PROVISION_NOTICES=1800,300 >> {commands.BUNDLE}/.env")
        with workshop.serving("user04") as visitor:
            assert workshop.run(up, timeout=120).ok
            heard: list[dict[str, Any]] = []

            def told() -> bool:
                answer = visitor._lab("GET", "/jupyterlab-notifications-extension/notifications")
                heard.extend(answer.json()["notifications"])
                return bool(heard)

            eventually(told, "told")
        assert len(heard) == 1, "not half an hour, too"
        assert "ends in 4 minutes" in heard[0]["message"]
    finally:
        command = commands.write_file(f"{commands.BUNDLE}/.env", len(kept.encode()), "0644")
        assert workshop.run(command, stdin=kept.encode()).ok
        workshop.run(f"rm {timer}")
        assert workshop.run(up, timeout=120).ok


SPY = """
import asyncio
from jupyter_server.base.handlers import JupyterHandler
theirs = JupyterHandler.prepare
async def slow(self, *args, **kwargs):
    if self.request.path.endswith("/ingest"):
        with open("/home/jovyan/heard", "w") as file:
            file.write(self.request.headers["Authorization"])
        await asyncio.sleep(6)
    return await theirs(self, *args, **kwargs)
JupyterHandler.prepare = slow
"""
"""Read by a participant's server when it starts: keeps what a notice is sent with, and the notice
waiting, so that what was kept is used in time."""


def test_what_a_server_hears_with_a_notice_opens_no_other(workshop: Workshop) -> None:
    timer = "/etc/systemd/system/provision-deadline.timer"
    home = f"{commands.ROOT}/homes/user04/home"
    up = commands.compose("up", "--detach", "--no-build", "--wait", "hub")
    kept = workshop.run(f"cat {commands.BUNDLE}/.env").out
    ends = datetime.now(UTC) + timedelta(minutes=4)
    end_sessions(workshop.engine, ["user04"], SystemClock())  # type: ignore[arg-type]
    workshop.run(f"install -d -o 1000 -g 100 {home}/.jupyter; rm -f {home}/heard")
    config = f"{home}/.jupyter/jupyter_server_config.py"
    put(workshop, config, SPY.encode())
    try:
        with workshop.serving("user02") as alice, workshop.serving("user04") as mallory:
            workshop.run(f"echo OnCalendar={commands.calendar(ends)} > {timer}")
            workshop.run(f"echo PROVISION_NOTICES=300 >> {commands.BUNDLE}/.env")
            assert workshop.run(up, timeout=120).ok
            read = commands.read_file(f"{home}/heard")
            eventually(lambda: workshop.run(read).out.startswith("token "), "told")
            token = workshop.run(read).out
            assert alice._lab("GET", "/api/contents").status_code == 200

            def opens(path: str) -> int:
                url, fields = f"{workshop.url}{path}", {"Authorization": token}
                return mallory._client.get(url, headers=fields).status_code

            mallory._client.cookies.clear()
            assert opens("/user/user04/api/contents") == 200, "in time: their own"
            assert opens("/user/user02/api/contents") == 403
            assert opens("/hub/api/users/user02") in {403, 404}
    finally:
        put(workshop, f"{commands.BUNDLE}/.env", kept.encode())
        workshop.run(f"rm -f {timer} {config} {home}/heard")
        end_sessions(workshop.engine, ["user04"], SystemClock())  # type: ignore[arg-type]
        assert workshop.run(up, timeout=120).ok


def test_who_has_to_wait_reads_it_in_the_form(workshop: Workshop) -> None:
    right = str(workshop.credentials["user03"].password)
    form = {"username": "user03", "password": "wrong"}
    with new_visitor(workshop, "user03", right) as visitor:
        client = visitor._client
        client.get("/hub/login", headers=NAVIGATE)

        def send(password: str) -> Any:
            data = form | {"password": password, "_xsrf": visitor._xsrf("/hub/")}
            return client.post("/hub/login", data=data, headers=NAVIGATE)

        for _ in range(6):
            send("wrong")
        page = send(right)
        assert page.status_code == 429
        assert re.search(r'class="login_error">[^<]*Try again in \d+ seconds?\.', page.text)
        assert 'name="password"' in page.text, "it is the form itself"
        eventually(lambda: send(right).status_code == 302, "the wait is over", budget=60)
