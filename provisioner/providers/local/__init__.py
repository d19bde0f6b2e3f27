"""A virtual machine on this computer: QEMU, NoCloud, and a golden image baked beforehand."""

from provisioner.providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]
