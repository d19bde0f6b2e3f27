"""Where the operator is, as the internet sees it: from where port 22 may be reached."""

from __future__ import annotations

from ipaddress import ip_address

from provisioner.errors import Refused

URL = "https://checkip.amazonaws.com"
HINT = "set aws.ssh_from in workshop.toml, or PROVISION_AWS__SSH_FROM=203.0.113.7/32"


def public_address() -> str:
    """Asks AWS's own service. Raises Refused when it does not say."""
    import ssl

    import httpx

    try:
        with httpx.Client(verify=ssl.create_default_context(), timeout=10) as client:
            return str(ip_address(client.get(URL).raise_for_status().text.strip()))
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise Refused(
            f"{URL} does not say from which address you reach the internet ({error}), so SSH "
            "can't be limited to it",
            hint=HINT,
        ) from None
