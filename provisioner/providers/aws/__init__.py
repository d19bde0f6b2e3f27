"""A machine in the operator's own AWS account: one instance, one security group, and tags."""

from provisioner.providers.aws.provider import AwsProvider

__all__ = ["AwsProvider"]
