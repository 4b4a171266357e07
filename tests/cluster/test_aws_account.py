"""aws-account.yaml and aws.yaml together, on an AWS in memory, by Ray's own launcher.

moto knows networks, groups, roles, launch templates and machines; it evaluates no rights, looks up no image by its name
in Systems Manager, and has no sessions, so these are compared as texts.
"""

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

import boto3
from cfnlint.api import ManualArgs, lint
import moto
import pytest
from ray.autoscaler._private.aws import config as ray_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.aws.utils import resource_cache
from ray.autoscaler._private.util import prepare_config

from tests.cluster.cluster_files import CLUSTER, filled, load

TEMPLATE = (CLUSTER / "aws-account.yaml").read_text(encoding="utf-8")
REGION = "us-east-1"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The stack's resources by their names in the template."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray writes the SSH key there
    resource_cache.cache_clear()
    with moto.mock_aws():
        client = boto3.client("cloudformation")
        client.create_stack(StackName="raycalib", TemplateBody=TEMPLATE, Capabilities=["CAPABILITY_IAM"])
        (stack,) = client.describe_stacks(StackName="raycalib")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        resources = client.describe_stack_resources(StackName="raycalib")["StackResources"]
        yield {each["LogicalResourceId"]: each.get("PhysicalResourceId") for each in resources}
    resource_cache.cache_clear()


@pytest.fixture
def launched(account: dict[str, Any]) -> dict[str, Any]:
    """aws.yaml after `ray up` has looked at the account."""
    return ray_aws.bootstrap_aws(filled("aws"))


def test_cfn_lint_finds_nothing() -> None:
    assert not lint(TEMPLATE, config=ManualArgs(regions=[REGION]))


def test_cloudformation_knows_no_aliases_of_yaml() -> None:
    assert not [line for line in TEMPLATE.splitlines() if ": &" in line or ": *" in line]


def test_no_group_lets_the_world_in(launched: dict[str, Any], account: dict[str, Any]) -> None:
    groups = {each["GroupId"]: each for each in boto3.client("ec2").describe_security_groups()["SecurityGroups"]}
    used = {
        group for each in launched["available_node_types"].values() for group in each["node_config"]["SecurityGroupIds"]
    }
    assert used == {account["Nodes"]}
    (rule,) = groups[account["Nodes"]]["IpPermissions"]
    assert (rule["IpRanges"], rule["Ipv6Ranges"], rule["PrefixListIds"]) == ([], [], [])
    assert [each["GroupId"] for each in rule["UserIdGroupPairs"]] == [account["Nodes"]]
    assert not any(
        each["GroupName"].startswith("ray-autoscaler") for each in groups.values()
    )  # Ray's own opens port 22


def test_without_the_launch_templates_ray_would_open_port_22(account: dict[str, Any]) -> None:
    config = load("aws")
    for each in config["available_node_types"].values():
        del each["node_config"]["LaunchTemplate"]
        each["node_config"]["ImageId"] = "ami-12345678"
    config["provider"]["use_internal_ips"] = True
    config["available_node_types"]["head"]["node_config"]["IamInstanceProfile"] = {"Name": "any"}
    launched = ray_aws.bootstrap_aws(prepare_config(config))
    used = {
        group for each in launched["available_node_types"].values() for group in each["node_config"]["SecurityGroupIds"]
    }
    (group,) = boto3.client("ec2").describe_security_groups(GroupIds=sorted(used))["SecurityGroups"]
    assert any(span["CidrIp"] == "0.0.0.0/0" for rule in group["IpPermissions"] for span in rule["IpRanges"])


def test_machines_get_network_rights_and_image_from_the_account(
    launched: dict[str, Any], account: dict[str, Any]
) -> None:
    profiles = {
        each["InstanceProfileName"]: each for each in boto3.client("iam").list_instance_profiles()["InstanceProfiles"]
    }
    subnets = {each["SubnetId"]: each for each in boto3.client("ec2").describe_subnets()["Subnets"]}
    for name, each in launched["available_node_types"].items():
        config = each["node_config"]
        role = account["HeadRole"] if name == "head" else account["WorkerRole"]
        (profile,) = [one for one in profiles.values() if one["Arn"] == config["IamInstanceProfile"]["Arn"]]
        assert [one["RoleName"] for one in profile["Roles"]] == [role]
        assert config["ImageId"].startswith("resolve:ssm:/aws/service/deeplearning/ami/x86_64/")
        assert set(config["SubnetIds"]) == {account["SubnetA"], account["SubnetB"]}
        assert len({subnets[one]["AvailabilityZone"] for one in config["SubnetIds"]}) == 2
        assert config["KeyName"] == "ray-autoscaler_us-east-1"
        assert config["MetadataOptions"]["HttpTokens"] == "required"
        assert config["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert launched["head_node"] == {}  # Ray has made no role of its own, which could do everything


def test_spot_machines_are_spot_and_carry_the_clusters_name(launched: dict[str, Any]) -> None:
    provider = AWSNodeProvider(launched["provider"], launched["cluster_name"])
    for name, each in launched["available_node_types"].items():
        started = provider.create_node(each["node_config"], {"ray-node-kind": "worker", "ray-user-node-type": name}, 1)
        described = boto3.client("ec2").describe_instances(InstanceIds=list(started))
        (machine,) = described["Reservations"][0]["Instances"]
        assert (machine.get("InstanceLifecycle") == "spot") == name.endswith("-spot"), name
        assert machine["InstanceType"] == each["node_config"]["InstanceType"]
        assert {"Key": "ray-cluster-name", "Value": "raycalib"} in machine["Tags"]


def statements(account: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """What a role may do."""
    iam = boto3.client("iam")
    names = iam.list_role_policies(RoleName=account[role])["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=account[role], PolicyName=name)["PolicyDocument"] for name in names]
    plain = [json.loads(each) if isinstance(each, str) else each for each in documents]
    return [{key: listed(value) for key, value in each.items()} for document in plain for each in document["Statement"]]


def listed(value: Any) -> Any:
    """A text as a list of one."""
    return [value] if isinstance(value, str) else value


def may(account: dict[str, Any], role: str, action: str) -> list[dict[str, Any]]:
    """The statements that allow it to."""
    return [each for each in statements(account, role) if action in each["Action"]]


def test_rights_are_the_least_that_will_do(account: dict[str, Any]) -> None:
    for role in ("HeadRole", "WorkerRole"):
        actions = [action for each in statements(account, role) for action in each["Action"]]
        assert not [action for action in actions if "*" in action]
        anything = {
            action for each in statements(account, role) if "*" in each["Resource"] for action in each["Action"]
        }
        assert {action.split(":")[0] for action in anything} <= {"ssm", "ssmmessages", "ec2"}
        assert {action for action in anything if action.startswith("ec2:")} <= {"ec2:DescribeInstances"}
        secrets = [
            resource for each in may(account, role, "secretsmanager:GetSecretValue") for resource in each["Resource"]
        ]
        read = {resource.rpartition("raycalib/")[2] for resource in secrets}
        assert read == ({"HF_TOKEN-*", "OPENAI_API_KEY-*"} if role == "HeadRole" else {"HF_TOKEN-*"})
    for action in ("ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateTags", "iam:PassRole"):
        assert may(account, "HeadRole", action)
        assert not may(account, "WorkerRole", action)


def test_the_head_passes_the_workers_role_alone_and_ends_its_own_machines_alone(account: dict[str, Any]) -> None:
    (passes,) = may(account, "HeadRole", "iam:PassRole")
    (resource,) = passes["Resource"]
    assert resource.endswith(f":role/{account['WorkerRole']}")
    assert passes["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    (ends,) = may(account, "HeadRole", "ec2:TerminateInstances")
    assert ends["Condition"] == {"StringEquals": {"aws:ResourceTag/ray-cluster-name": load("aws")["cluster_name"]}}
    starts = may(account, "HeadRole", "ec2:RunInstances")
    machines = [each for each in starts if any(":instance/" in resource for resource in each["Resource"])]
    assert [each.get("Condition") for each in machines] == [
        {"StringEquals": {"aws:RequestTag/ray-cluster-name": load("aws")["cluster_name"]}}
    ]


def test_the_bucket_is_private_and_stays(account: dict[str, Any]) -> None:
    assert account["Bucket"] == "raycalib-123456789012-us-east-1"
    for name in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
        assert f"{name}: true" in TEMPLATE  # moto leaves these out
    assert "DeletionPolicy: Retain" in TEMPLATE
