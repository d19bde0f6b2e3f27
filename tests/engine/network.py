"""Addresses, and the commands that make the two networks, as values for `ip -batch -`.

The machine has one wire to the `outside`, which is its router and all of the internet at once.
"""

from __future__ import annotations

MACHINE, ROUTER = "10.77.0.2", "10.77.0.1"
MACHINE6, ROUTER6 = "fd77::2", "fd77::1"

METADATA = "169.254.169.254"
METADATA6 = "fd00:ec2::254"
PUBLIC = "198.51.100.20"
MAIL = "198.51.100.25"
MAIL_PORTS = (25, 465, 587)
ROUTER_PORT = 7000
"""Something that the operator's own computer listens on."""

SERVICES = {
    "metadata": (METADATA, 80),
    "metadata6": (METADATA6, 80),
    "router": (ROUTER, ROUTER_PORT),
    "public": (PUBLIC, 80),
    **{f"mail-{port}": (MAIL, port) for port in MAIL_PORTS},
}
"""Who answers where; the name stands in the answer, and in the list of visits."""

OUTSIDE = "\n".join(
    (
        "link set lo up",
        *(f"address add {address}/32 dev lo" for address in (METADATA, PUBLIC, MAIL)),
        f"address add {METADATA6}/128 dev lo nodad",
        "",
    )
)

MACHINE_SIDE = "\n".join(
    (
        "link set lo up",
        f"address add {MACHINE}/24 dev eth0",
        f"address add {MACHINE6}/64 dev eth0 nodad",
        "link set eth0 up",
        f"route add default via {ROUTER}",
        f"route add default via {ROUTER6}",
        "",
    )
)


def wire(machine: int) -> str:
    """In the outside: one end here, the other, `eth0`, in the network of that process."""
    return "\n".join(
        (
            f"link add machine type veth peer name eth0 netns {machine}",
            f"address add {ROUTER}/24 dev machine",
            f"address add {ROUTER6}/64 dev machine nodad",
            "link set machine up",
            "",
        )
    )
