"""What may break in the middle of a workshop, and what people notice of it. Prints the seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from provisioner.errors import NotYet, ProvisionError
from provisioner.remote.channels import Channels
from provisioner.remote.hub import NAVIGATE, Participant, _execute, _settled
from provisioner.render import commands
from provisioner.workflow.prewarm import prewarm
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine.workshop import Workshop

WHO = "user02"


class Sitting:
    """A participant in the middle of their work: a session, a kernel, and its open websocket."""

    def __init__(self, workshop: Workshop, visitor: Participant, stack: ExitStack) -> None:
        self.workshop, self.visitor = workshop, visitor
        started = visitor._lab("POST", "/api/kernels", json={"name": "python3"})
        _settled(started)
        self.kernel = started.json()["id"]
        self.socket: Channels = stack.enter_context(visitor._channels(self.kernel))
        _execute(self.socket, "kept = 41", 60)

    def goes_on(self) -> None:
        """The same websocket still leads to the same kernel."""
        assert _execute(self.socket, "print(kept + 1)", 60) == "42\n"

    def again(self) -> None:
        """The same session, a new websocket, the same kernel."""
        with self.visitor._channels(self.kernel) as socket:
            assert _execute(socket, "print(kept + 1)", 60) == "42\n"


@pytest.fixture
def sitting(workshop: Workshop) -> Iterator[Sitting]:
    with ExitStack() as stack:
        visitor = stack.enter_context(workshop.serving(WHO))
        made = Sitting(workshop, visitor, stack)
        visitor.run("open('kept.txt', 'w').write('as it was')", 60)
        yield made
        with suppress(Exception):  # it may be gone with its server
            visitor._lab("DELETE", f"/api/kernels/{made.kernel}")


@contextmanager
def timed(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"\n{what}: {time.monotonic() - begun:.1f} s")


def until(so: Callable[[], object], budget: float = 120) -> None:
    """Until it neither raises nor is false."""

    def look() -> None:
        try:
            if so() is False:
                raise NotYet("not so")
        except (ProvisionError, OSError, AssertionError) as error:
            raise NotYet(str(error)) from None
        except Exception as error:  # websockets' and httpx's own
            raise NotYet(f"{type(error).__name__}: {error}") from None

    wait_for(look, budget=budget, clock=SystemClock(), every=0.2)


def lab_answers(visitor: Participant) -> None:
    answer = visitor._lab("GET", "/api/status")
    _settled(answer)
    assert answer.status_code == 200, "without its route the hub answers, and leads elsewhere"


def hub_answers(visitor: Participant) -> None:
    """Still logged in: the hub's own page, and no login form."""
    page = visitor._client.get("/hub/home", headers=NAVIGATE)
    assert page.status_code == 200, page.status_code


def certificate(workshop: Workshop) -> str:
    find = "find /data/caddy/certificates -name '*.crt' -exec cat {} +"
    return workshop.run(commands.compose("exec", "-T", "caddy", "sh", "-c", find)).out


def test_a_restart_of_the_hub_is_noticed_by_nobody_at_work(sitting: Sitting) -> None:
    workshop = sitting.workshop
    with timed("hub restarted, and people are still logged in"):
        assert workshop.run(commands.compose("restart", "hub"), timeout=60).ok
        sitting.goes_on()
        lab_answers(sitting.visitor)
        until(lambda: hub_answers(sitting.visitor))
    sitting.goes_on()
    assert sitting.visitor.server_ready(), "the hub knows the server that it finds"


def test_a_restart_of_the_proxy_is_over_in_seconds(sitting: Sitting) -> None:
    """It forgets its routes; the hub gives them back (last_activity_interval)."""
    assert sitting.workshop.run(commands.compose("restart", "proxy"), timeout=60).ok
    begun = time.monotonic()
    with timed("proxy restarted, and Lab answers"):
        until(lambda: lab_answers(sitting.visitor))
    assert time.monotonic() - begun < 60
    sitting.again()


def test_a_reload_of_caddy_cuts_nobody_off(sitting: Sitting) -> None:
    workshop, before = sitting.workshop, certificate(sitting.workshop)
    assert "BEGIN CERTIFICATE" in before
    words = ("caddy", "reload", "--force", "--config", "/etc/caddy/Caddyfile")
    reload = commands.compose("exec", "-T", "caddy", *words, "--address", "unix//run/caddy.sock")
    done = workshop.run(reload, timeout=60)
    assert done.ok, done.err
    sitting.goes_on()
    assert certificate(workshop) == before


def test_a_restart_of_caddy_asks_for_no_new_certificate(sitting: Sitting) -> None:
    workshop, before = sitting.workshop, certificate(sitting.workshop)
    with timed("caddy restarted, and Lab answers"):
        assert workshop.run(commands.compose("restart", "caddy"), timeout=60).ok
        until(lambda: lab_answers(sitting.visitor))
    sitting.again()
    assert certificate(workshop) == before


def regained(sitting: Sitting) -> str:
    """Have a server, the old one or a new one, without logging in again; what it has of before."""
    visitor = sitting.visitor
    until(lambda: hub_answers(visitor))

    def ready() -> bool:
        try:
            return visitor.server_ready()
        except ProvisionError:
            visitor._asked = False  # as somebody who presses "Start my server" does
            raise

    until(ready)
    assert visitor.run("print(open('kept.txt').read())", 60) == "as it was\n"
    try:
        sitting.again()
    except Exception:  # another server: that kernel is no more
        return "a new server"
    return "the same kernel"


def test_a_restart_of_docker(sitting: Sitting) -> None:
    workshop, before = sitting.workshop, certificate(sitting.workshop)
    with timed("Docker restarted, and the participant is at work again"):
        assert workshop.run("systemctl restart docker.service", timeout=120).ok
        kept = regained(sitting)
    print(f"with {kept}")
    assert certificate(workshop) == before


def test_the_whole_stack_down_and_up(sitting: Sitting) -> None:
    workshop, before = sitting.workshop, certificate(sitting.workshop)
    with timed("stack down and up, and the participant is at work again"):
        workshop.run(commands.compose("down"), timeout=120)
        workshop.run("systemctl restart provision-stack.service", timeout=120)
        kept = regained(sitting)
    print(f"with {kept}")
    assert certificate(workshop) == before


def test_afterwards_everybodys_server_is_in_order(workshop: Workshop) -> None:
    server = workshop.record.server
    assert server is not None
    with timed("everybody's server after all that"):
        warmed = prewarm(workshop.tools, workshop.record, server, kind="engine")
    assert all(item.ok for item in warmed), warmed
    states = workshop.run(commands.service_states()).out
    assert {json.loads(line)["State"] for line in states.splitlines()} == {"running"}
