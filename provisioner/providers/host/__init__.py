"""An existing Debian or Ubuntu machine, reached by SSH; teardown leaves it as it was found.

No user is made on it, no key changed, no sshd configured, and nothing powers it off: at the
deadline the workshop's containers stop and the machine goes on.
"""

from provisioner.providers.host.provider import HostProvider

__all__ = ["HostProvider"]
