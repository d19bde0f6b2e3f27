"""ModifyInstanceAttribute: moto takes what it does not know for a wish to have no groups."""

from __future__ import annotations

from tests.cloud import answers, state
from tests.cloud.answers import Answer, Refusal
from tests.cloud.call import Call

SHUTDOWN = "InstanceInitiatedShutdownBehavior.Value"
WHEN_STOPPED = ("InstanceType.Value", "UserData.Value")


def modify(call: Call) -> Answer | None:
    """Refuse, do, or leave it to moto."""
    instance_id = call.params.get("InstanceId", "")
    instance = state.instance(instance_id)
    if instance is None:
        words = f"The instance ID '{instance_id}' does not exist"
        raise Refusal("InvalidInstanceID.NotFound", words)
    if any(name in call.params for name in WHEN_STOPPED) and instance.state != "stopped":
        words = f"The instance '{instance_id}' is not in the 'stopped' state."
        raise Refusal("IncorrectInstanceState", words)
    if call.groups and instance.state == "terminated":
        words = f"The instance '{instance_id}' is terminated."
        raise Refusal("IncorrectInstanceState", words)
    check_groups(call)
    if SHUTDOWN in call.params:
        instance.instance_initiated_shutdown_behavior = call.params[SHUTDOWN]
        return answers.ec2(call.action, "<return>true</return>")
    return None


def check_groups(call: Call) -> None:
    known = {name for groups in state.cloud(call.region).groups.values() for name in groups}
    for group in sorted(call.groups - known):
        words = f"The security group '{group}' does not exist"
        raise Refusal("InvalidGroup.NotFound", words)
