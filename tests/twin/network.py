"""Where everything is in the twin's network, and the commands that make it so, as values.

Three bridges' worth of addresses in one network namespace: the cloud's private network, to which
machines are plugged in; the internet, where the operator, name servers and the certificate
authority are; and public addresses, which exist only as translations, as in EC2: a machine does
not know its own. The ranges are those for documentation (RFC 5737) and EC2's default network.
"""

from __future__ import annotations

from collections.abc import Iterable

VPC = "172.31.0.0/16"
ROUTER = "172.31.0.1"
VPC_RESOLVER = "172.31.0.2"
METADATA = "169.254.169.254"

INTERNET = "198.51.100.0/24"
OPERATOR = "198.51.100.10"
RESOLVER = "198.51.100.2"  # the operator's, which remembers what was not there
REGISTRY = "198.51.100.5"  # serves the zone above the workshop's
AUTHORITY = "198.51.100.53"  # every name server of Route 53
CLOUD = "198.51.100.20"
CA = "198.51.100.80"

PUBLIC = "203.0.113.0/24"
PUBLIC_ADDRESS = "203.0.113.10"

_ON_VPC = (f"{ROUTER}/16", f"{VPC_RESOLVER}/32", f"{METADATA}/32")
_ON_INTERNET = (f"{OPERATOR}/24", *(f"{a}/32" for a in (RESOLVER, REGISTRY, AUTHORITY, CLOUD, CA)))

LINKS = "\n".join(
    (
        "link set lo up",
        # An address of its own: else a bridge takes its lowest port's, and neighbours lose it.
        "link add vpc address 02:00:00:00:00:01 type bridge forward_delay 0",
        "link add internet address 02:00:00:00:00:02 type bridge forward_delay 0",
        *(f"address add {address} dev vpc" for address in _ON_VPC),
        *(f"address add {address} dev internet" for address in _ON_INTERNET),
        "link set vpc up",
        "link set internet up",
        f"route add {PUBLIC} dev internet src {OPERATOR}",
    )
)
"""For `ip -batch -`."""

TRANSLATION = f"""
table ip twin {{
    map inward {{ type ipv4_addr : ipv4_addr; }}
    map outward {{ type ipv4_addr : ipv4_addr; }}
    chain arriving {{
        type nat hook prerouting priority -100;
        dnat to ip daddr map @inward;
    }}
    chain operator {{
        type nat hook output priority -100;
        dnat to ip daddr map @inward;
    }}
    chain to_internet {{
        type nat hook input priority 100;
        ip daddr {INTERNET} snat to ip saddr map @outward;
    }}
    chain to_itself {{
        type nat hook postrouting priority 100;
        ct status dnat snat to ip saddr map @outward;
    }}
    map guards {{ type ipv4_addr : verdict; }}
    chain visitors {{
        type filter hook output priority 10;
        ip saddr {INTERNET} ct state new ip daddr vmap @guards;
    }}
}}
"""
"""For `nft -f -`. The internet is in this same namespace, so what leaves the cloud is `input`."""


def plug(tap: str) -> str:
    """For `ip -batch -`: a socket for one machine."""
    return f"tuntap add {tap} mode tap\nlink set {tap} master vpc\nlink set {tap} up\n"


def publish(public: str, private: str, guard: str, allowed: Iterable[str]) -> str:
    """For `nft -f -`: `public` leads to the machine at `private`, for what matches `allowed`.

    `guard` is a name for the chain of these rules. The rest is dropped without a word.
    """
    rules = (*(f"{rule} accept" for rule in allowed), "drop")
    return "\n".join(
        (
            f"add chain ip twin {guard}",
            *(f"add rule ip twin {guard} {rule}" for rule in rules),
            f"add element ip twin guards {{ {private} : jump {guard} }}",
            f"add element ip twin inward {{ {public} : {private} }}",
            f"add element ip twin outward {{ {private} : {public} }}",
        )
    )


def withdraw(public: str, private: str, guard: str) -> str:
    """For `nft -f -`: undo `publish`."""
    return "\n".join(
        (
            f"delete element ip twin inward {{ {public} }}",
            f"delete element ip twin outward {{ {private} }}",
            f"delete element ip twin guards {{ {private} }}",
            f"flush chain ip twin {guard}",
            f"delete chain ip twin {guard}",
        )
    )


def dhcp(folder: str) -> list[str]:
    """A server that gives every machine the address it is listed with in `folder`/dhcp.

    A machine asks more than once while it boots, each time as another client: only its MAC counts.
    """
    return [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"),
        *("--port=0", "--interface=vpc", "--bind-interfaces", "--no-ping", "--log-facility=-"),
        f"--dhcp-range={VPC.partition('/')[0]},static",
        *("--dhcp-ignore-clid", f"--dhcp-hostsdir={folder}/dhcp"),
        *(
            f"--dhcp-option=option:router,{ROUTER}",
            f"--dhcp-option=option:dns-server,{VPC_RESOLVER}",
        ),
        *(f"--dhcp-leasefile={folder}/leases", "--pid-file="),
    ]
