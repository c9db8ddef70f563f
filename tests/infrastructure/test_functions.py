"""Lambda functions: figures, network, permissions, sources."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from anfl.resources import HANDLER, Function, Variable
from stacks.access import NEEDS
from stacks.settings import ROOT
from tests.infrastructure.conftest import Assembly, Properties, Template, synthesize

SIZES = {
    Function.VECTOR_PROCESSING: (1024, 300, 512),
    Function.MODEL_VALIDATION: (2048, 600, 4096),
    Function.AUTH: (512, 10, 512),
    Function.AUTHORIZER: (512, 10, 512),
    Function.WEBHOOKS: (256, 30, 512),
    Function.WEBHOOK_SIGNER: (256, 60, 512),
}
"""Memory and ephemeral storage in MiB, time-out in seconds."""


def function(stack: Template, name: Function) -> Properties:
    """Properties of a function."""
    return stack.only("AWS::Lambda::Function", FunctionName=f"anfl-{stack.name.split('-')[1]}-{name}")


def allowed(stack: Template, role: str) -> list[Properties]:
    """Statements of the policies on the role with the logical id ``role``."""
    found = [
        statement
        for policy in stack.properties("AWS::IAM::Policy")
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert found, f"{role} may do nothing"
    return found


def actions(statement: Properties) -> list[str]:
    """The actions of a statement as a list."""
    found: str | list[str] = statement["Action"]
    return [found] if isinstance(found, str) else found


@pytest.mark.parametrize("name", Function)
def test_sizes(assembly: Assembly, name: Function) -> None:
    for stack in assembly.regional("service").values():
        found = function(stack, name)
        assert (found["MemorySize"], found["Timeout"], found["EphemeralStorage"]["Size"]) == SIZES[name]


def test_runtime_and_entry_point(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        assert len(stack.resources("AWS::Lambda::Function")) == len(Function)
        for found in stack.properties("AWS::Lambda::Function"):
            assert found["Runtime"] == "python3.13"
            assert found["Architectures"] == ["x86_64"]
            assert found["Handler"] == HANDLER


def inside(stack: Template) -> list[Properties]:
    """All functions but the one that talks to strangers."""
    found = stack.properties("AWS::Lambda::Function")
    return [one for one in found if not one["FunctionName"].endswith(f"-{Function.WEBHOOKS}")]


def test_who_talks_to_strangers_stands_outside_the_network(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        assert "VpcConfig" not in function(stack, Function.WEBHOOKS)
        assert len(inside(stack)) == len(Function) - 1


def test_who_delivers_may_call_who_signs_and_nobody_else(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        environment = stack.name.split("-")[1]
        callers = {
            found["FunctionName"].removeprefix(f"anfl-{environment}-"): json.dumps(statement["Resource"])
            for found in stack.properties("AWS::Lambda::Function")
            for statement in allowed(stack, found["Role"]["Fn::GetAtt"][0])
            if any(action.startswith("lambda:") for action in actions(statement))
        }
        assert callers.keys() == {Function.WEBHOOKS}
        granted = [s for p in stack.properties("AWS::IAM::Policy") for s in p["PolicyDocument"]["Statement"]]
        assert sum(any(action.startswith("lambda:") for action in actions(s)) for s in granted) == 1, "nor a service"
        assert callers[Function.WEBHOOKS].endswith(f':function:anfl-{environment}-{Function.WEBHOOK_SIGNER}"]]}}')
        name = function(stack, Function.WEBHOOKS)["Environment"]["Variables"]["WEBHOOK_SIGNER"]
        assert name == f"anfl-{environment}-{Function.WEBHOOK_SIGNER}"


def test_wrapped_keys_move_by_themselves(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        targets = {}
        for rule in stack.properties("AWS::Events::Rule"):
            assert rule["ScheduleExpression"] == "rate(15 minutes)"
            (target,) = rule["Targets"]
            targets[target["Id"]] = json.loads(target["Input"])
        due = {"operation": "rewrap_due"}
        assert targets == {Function.VECTOR_PROCESSING: due, Function.WEBHOOK_SIGNER: due}
        assert len(stack.resources("AWS::Lambda::Permission")) >= 2


def test_functions_run_in_the_private_subnets(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for found in inside(stack):
            subnets = json.dumps(found["VpcConfig"]["SubnetIds"])
            assert subnets.count("NetworkPrivate") == 2
            assert "NetworkPublic" not in subnets
            assert "FunctionsGroup" in json.dumps(found["VpcConfig"]["SecurityGroupIds"])


def test_each_function_has_a_role_and_a_log_group_of_its_own(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        functions = stack.properties("AWS::Lambda::Function")
        assert len({f["Role"]["Fn::GetAtt"][0] for f in functions}) == len(functions)
        groups = {f["LoggingConfig"]["LogGroup"]["Ref"] for f in functions}
        assert len(groups) == len(functions)
        for group in groups:
            properties = stack.resources("AWS::Logs::LogGroup")[group]["Properties"]
            assert "KmsKeyId" in properties
            assert properties["RetentionInDays"] == (365 if "-prod-" in stack.name else 7)


VARIABLES = {
    Function.VECTOR_PROCESSING: {
        "ANFL_ENVIRONMENT",
        "AUTH_TABLE",
        "CATALOGUE_TABLE",
        "CHUNKS_QUEUE_URL",
        "COPIES_QUEUE_URL",
        "ENGINE_CLASSES",
        "SEALING",
        "VAULT_ADDR",
        "VECTORS_BUCKET",
    },
    Function.MODEL_VALIDATION: {
        "ANFL_ENVIRONMENT",
        "ARTIFACTS_BUCKET",
        "REGISTRY_HOME",
        "REGISTRY_TABLE",
        "VALIDATION_QUEUE_URL",
        "VAULT_ADDR",
    },
    Function.WEBHOOKS: {"ANFL_ENVIRONMENT", "REGISTRY_TABLE", "WEBHOOKS_QUEUE_URL", "WEBHOOK_SIGNER"},
    Function.WEBHOOK_SIGNER: {"ANFL_ENVIRONMENT", "AUTH_TABLE", "REGISTRY_HOME", "REGISTRY_TABLE", "VAULT_ADDR"},
    Function.AUTH: {
        "ANFL_ENVIRONMENT",
        "AUTH_TABLE",
        "CACHE_HOST",
        "CACHE_NAME",
        "CACHE_PORT",
        "CACHE_THROTTLE_USER",
        "REVOCATIONS_PER_TENANT",
        "TOKEN_AUDIENCE",
        "TOKEN_ISSUER",
        "TOKEN_ISSUERS",
        "TOKEN_SESSION_SECONDS",
        "TOKEN_THROTTLE_BURST",
        "TOKEN_THROTTLE_RATE",
        "TOKEN_TTL_SECONDS",
        "VAULT_ADDR",
    },
    Function.AUTHORIZER: {"ANFL_ENVIRONMENT", "AUTH_TABLE", "TOKEN_AUDIENCE", "TOKEN_ISSUER", "VAULT_ADDR"}
    | {"CACHE_HOST", "CACHE_NAME", "CACHE_PORT", "CACHE_USER"},
}


OF_SEVERAL_REGIONS = {"COPIES_QUEUE_URL"}
"""Where there is one region, nobody is told."""


@pytest.mark.parametrize("name", Function)
def test_functions_are_told_what_they_need_and_no_more(prod: Assembly, dev: Assembly, name: Function) -> None:
    for stack in prod.regional("service").values():
        assert set(function(stack, name)["Environment"]["Variables"]) == VARIABLES[name]
    direct = {Variable.DEFAULT_TENANT} & set(NEEDS[name].tells)
    for stack in dev.regional("service").values():
        variables: dict[str, Any] = function(stack, name)["Environment"]["Variables"]
        assert set(variables) == (VARIABLES[name] - OF_SEVERAL_REGIONS) | {str(variable) for variable in direct}
        assert not direct or variables["DEFAULT_TENANT"] == "demo"


def test_inspections_are_told_the_hosts_of_packages_that_settings_trust(tmp_path: Path) -> None:
    root = tmp_path / "settings"
    shutil.copytree(ROOT / "environments", root / "environments")
    shutil.copy(ROOT / "architecture.yaml", root)
    overlay = root / "environments" / "dev.yaml"
    hosts = "  registry: {package_hosts: [index.example.com]}"
    overlay.write_text(overlay.read_text().replace("deployment:\n", f"deployment:\n{hosts}\n"))
    [stack] = synthesize(tmp_path / "templates", "dev", root=root).regional("service").values()
    variables: dict[str, Any] = function(stack, Function.MODEL_VALIDATION)["Environment"]["Variables"]
    assert json.loads(variables["PACKAGE_HOSTS"]) == ["index.example.com"]


def test_each_region_talks_to_its_own_vault(prod: Assembly) -> None:
    for region, stack in prod.regional("service").items():
        for found in inside(stack):
            assert found["Environment"]["Variables"]["VAULT_ADDR"] == f"https://vault.{region}.lib.aeonova.com:8200"


def test_prods_tokens_live_a_quarter_of_an_hour(prod: Assembly) -> None:
    for stack in prod.regional("service").values():
        variables = function(stack, Function.AUTH)["Environment"]["Variables"]
        assert variables["TOKEN_TTL_SECONDS"] == "900"
        assert variables["TOKEN_SESSION_SECONDS"] == "28800"
        assert variables["TOKEN_ISSUER"] == "https://api.lib.aeonova.com"


def test_functions_code_may_not_use_the_network_permissions_of_lambda(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for found in inside(stack):
            denied = [s for s in allowed(stack, found["Role"]["Fn::GetAtt"][0]) if s["Effect"] == "Deny"]
            assert len(denied) == 1
            assert found["FunctionName"] in json.dumps(denied[0]["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"])


TABLE_WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
RIGHTS = {
    Function.VECTOR_PROCESSING: ({"catalogue", "class-text-384"}, {"auth"}, {"Vectors": "rw"}, {"Chunks"}),
    Function.MODEL_VALIDATION: ({"registry"}, set(), {"Artifacts": "r"}, {"Validation"}),
    Function.AUTH: ({"auth"}, set(), {}, set()),
    Function.AUTHORIZER: (set(), {"auth"}, {}, set()),
    Function.WEBHOOKS: (set(), {"registry"}, {}, {"Webhooks"}),
    Function.WEBHOOK_SIGNER: ({"registry"}, {"auth"}, {}, set()),
}
"""Tables written, tables only read, buckets, queues consumed."""


@pytest.mark.parametrize("name", Function)
def test_functions_may_do_what_their_work_needs_and_no_more(prod: Assembly, name: Function) -> None:
    stack = prod["anfl-prod-us-west-1-service"]
    role = function(stack, name)["Role"]["Fn::GetAtt"][0]
    assert rights(stack, role) == RIGHTS[name]


def rights(stack: Template, role: str) -> tuple[set[str], set[str], dict[str, str], set[str]]:
    """Tables written, tables only read, buckets, queues consumed."""
    written, read, buckets, queues = set[str](), set[str](), dict[str, str](), set[str]()
    for statement in allowed(stack, role):
        where = json.dumps(statement["Resource"])
        may = set(actions(statement))
        for table in ("catalogue", "registry", "auth", "class-text-384"):
            if f':table/anfl-prod-{table}"' in where and any(action.startswith("dynamodb:") for action in may):
                (written if may & TABLE_WRITES else read).add(table)
        for bucket in ("Vectors", "Artifacts"):
            if f":::anfl-prod-{bucket.lower()}-" in where and "s3:GetObject" in may:
                buckets[bucket] = "rw" if "s3:PutObject" in may else "r"
        for queue in ("Jobs", "Chunks", "Validation", "Webhooks"):
            if f"GetAtt{queue}Queue" in where and "sqs:ReceiveMessage" in may:
                queues.add(queue)
    return written, read - written, buckets, queues


def test_the_data_key_is_used_by_way_of_the_services_that_hold_data_alone(assembly: Assembly) -> None:
    for region, stack in assembly.regional("service").items():
        keyed = [
            statement
            for policy in stack.properties("AWS::IAM::Policy")
            for statement in policy["PolicyDocument"]["Statement"]
            if any(action.startswith("kms:") for action in actions(statement))
        ]
        assert len(keyed) == len(NEEDS)
        for statement in keyed:
            assert "DataKey" in json.dumps(statement["Resource"])
            via = statement["Condition"]["StringEquals"]["kms:ViaService"]
            hosts = [via] if isinstance(via, str) else via
            assert set(hosts) <= {f"{service}.{region}.amazonaws.com" for service in ("s3", "dynamodb", "sqs")}


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        (Function.VECTOR_PROCESSING, "Chunks"),
        (Function.MODEL_VALIDATION, "Validation"),
        (Function.WEBHOOKS, "Webhooks"),
    ],
)
def test_queues_feed_functions_one_message_at_a_time(assembly: Assembly, name: Function, queue: str) -> None:
    for stack in assembly.regional("service").values():
        sources = stack.properties("AWS::Lambda::EventSourceMapping")
        (source,) = (s for s in sources if f"{queue}Queue" in json.dumps(s["EventSourceArn"]))
        target = stack.resources("AWS::Lambda::Function")[source["FunctionName"]["Ref"]]["Properties"]
        assert target["FunctionName"].endswith(f"-{name}")
        assert source["BatchSize"] == 1
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_few_invocations_write_to_collections_at_a_time(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        sources = stack.properties("AWS::Lambda::EventSourceMapping")
        (source,) = (each for each in sources if "ChunksQueue" in json.dumps(each["EventSourceArn"]))
        assert source["ScalingConfig"] == {"MaximumConcurrency": 4}
