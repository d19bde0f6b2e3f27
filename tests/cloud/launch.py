"""RunInstances: what AWS refuses and moto does not, and what moto forgets to do."""

from __future__ import annotations

import base64
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ec2.models.instances import Instance, InstanceBackend, Reservation
from moto.ec2.utils import filter_dict_attribute_mapping

from tests.cloud import attributes, state
from tests.cloud.answers import Refusal
from tests.cloud.call import Call
from tests.cloud.machines import Machines
from tests.cloud.settings import Settings

USER_DATA_LIMIT = 16384
ALIVE = ("pending", "running", "stopping", "shutting-down")

moto_run_instances = InstanceBackend.run_instances


class Launch:
    def __init__(self, settings: Settings, machines: Machines) -> None:
        self.settings = settings
        self.machines = machines
        self.fails: str | None = None  # how the instances of the call under way will fail
        self.wanted: Call | None = None

    def check(self, call: Call) -> None:
        """Refuse what AWS refuses; it looks at all this for a DryRun, too."""
        user_data = base64.b64decode(call.params.get("UserData", ""))
        if len(user_data) > USER_DATA_LIMIT:
            words = f"User data is limited to {USER_DATA_LIMIT} bytes"
            raise Refusal("InvalidParameterValue", words)
        backend = state.cloud(call.region)
        image = backend.amis.get(call.params.get("ImageId", ""))
        if image is None:
            words = f"The image id '[{call.params.get('ImageId')}]' does not exist"
            raise Refusal("InvalidAMIID.NotFound", words)
        attributes.check_groups(call)
        self._check_kind(call, image.architecture)

    def _check_kind(self, call: Call, architecture: str | None) -> None:
        kind = call.params.get("InstanceType", "m1.small")
        facts = state.kind_facts(kind)
        if not facts:
            raise Refusal("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
        supported = facts.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
        if architecture not in supported:
            raise Refusal(
                "InvalidParameterValue",
                f"The architecture '{','.join(supported)}' of the specified instance type does "
                f"not match the architecture '{architecture}' of the specified AMI.",
            )
        offered = state.offered(call.region, kind)
        zone = call.facts.get("zone")
        if zone and zone not in offered:
            raise Refusal(
                "Unsupported",
                f"Your requested instance type ({kind}) is not supported in your requested "
                f"Availability Zone ({zone}). Please retry your request by not specifying an "
                f"Availability Zone or choosing {', '.join(sorted(offered))}.",
            )

    def check_quota(self, call: Call) -> None:
        """Only a call that means it is counted, a DryRun is not."""
        alive = [
            one
            for one in state.instances(state.cloud(call.region))
            if one.state in ALIVE and one.lifecycle != "spot"
        ]
        wanted = state.vcpus(call.params.get("InstanceType", "m1.small"))
        if sum(state.vcpus(one.instance_type) for one in alive) + wanted > self.settings.vcpus:
            call.facts["vcpus"] = str(self.settings.vcpus)
            raise Refusal("VcpuLimitExceeded")

    def run(self, backend: Any, *args: Any, **kwargs: Any) -> Reservation:
        reservation = moto_run_instances(backend, *args, **kwargs)
        tags = kwargs.get("tags", {})
        for instance in reservation.instances:
            self._complete(instance, tags, kwargs.get("nics") or [])
            self.machines.born(instance, self.fails)
        return reservation

    def _complete(
        self, instance: Instance, tags: dict[str, Any], interfaces: list[dict[str, Any]]
    ) -> None:
        if instance.client_token == "ABCDE":  # moto's word for none
            instance.client_token = ""
        if instance.root_device_name not in instance.block_device_mapping:
            instance.add_block_device(8, instance.root_device_name, None, False, True, None, "gp3")
        root = instance.block_device_mapping[instance.root_device_name]
        root.delete_on_termination = not self._keeps_root(instance)
        for _, device in instance.get_block_device_mapping:
            for volume in instance.ec2_backend.describe_volumes(volume_ids=[device.volume_id]):
                volume.add_tags(tags.get("volume", {}))
        for index, nic in instance.nics.items():
            nic.add_tags(tags.get("network-interface", {}))
            spec = next((one for one in interfaces if int(one["DeviceIndex"]) == index), {})
            if "NetworkInterfaceId" not in spec:
                nic.delete_on_termination = spec.get("DeleteOnTermination", True) is not False
        # Groups belong to interfaces; moto only remembers those given for the instance.
        instance.security_groups = list(instance.nics[0]._group_set)

    def _keeps_root(self, instance: Instance) -> bool:
        mappings = self.wanted.members("BlockDeviceMapping") if self.wanted else ()
        return any(
            one.get("DeviceName") == instance.root_device_name
            and one.get("Ebs.DeleteOnTermination") == "false"
            for one in mappings
        )


def install(launch: Launch) -> None:
    def run(self: Any, *args: Any, **kwargs: Any) -> Reservation:
        return launch.run(self, *args, **kwargs)

    InstanceBackend.run_instances = run  # type: ignore[method-assign]
    # A default root disk on /dev/sda1 would be a second disk for most images: see _complete.
    Instance.setup_defaults = lambda self: None  # type: ignore[method-assign]
    Ami.block_device_mappings = property(_image_disks)  # type: ignore[assignment]
    filter_dict_attribute_mapping["client-token"] = "client_token"
    filter_dict_attribute_mapping["instance-state-code"] = "state_code_text"
    Instance.state_code_text = property(  # type: ignore[attr-defined]
        lambda self: str(self.state_code)
    )


def _image_disks(self: Ami) -> list[dict[str, Any]]:
    disk = {
        "SnapshotId": self.ebs_snapshot.id,
        "VolumeSize": 8,
        "DeleteOnTermination": True,
        "VolumeType": "gp3",
        "Encrypted": False,
    }
    return [{"DeviceName": self.root_device_name, "Ebs": disk}]
