"""Classes of the engine ``dynamodb``: what is declared is what services are told, and whose role reaches it."""

import json
from collections.abc import Iterator

from anfl.resources import Function, Service, engine_class_table
from anfl.vectors.dynamodb.classes import read_classes
from stacks.settings import load
from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_containers import container, task
from tests.infrastructure.test_functions import actions, function

ROWS = {"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "PutItem", "Query"}


def _environment(assembly: Assembly) -> str:
    return next(iter(assembly)).name.split("-")[1]


def test_each_class_of_the_settings_has_a_table_with_one_index(assembly: Assembly) -> None:
    environment = _environment(assembly)
    declared = {
        table["TableName"]: table["VectorIndexes"]
        for table in assembly[f"anfl-{environment}-global-data"].properties("AWS::DynamoDB::GlobalTable")
        if "VectorIndexes" in table
    }
    classes = load(environment).deployment.engine_classes
    assert set(declared) == {engine_class_table(environment, each.name) for each in classes}
    for each in classes:
        (index,) = declared[engine_class_table(environment, each.name)]
        assert index["Dimensions"] == each.dimension
        assert len(index["SearchSchema"]) == 1 + each.strings + each.numbers


def test_whoever_serves_vectors_is_told_the_same_classes(assembly: Assembly) -> None:
    environment = _environment(assembly)
    classes = load(environment).deployment.engine_classes
    for stack in assembly.regional("service").values():
        service = {entry["Name"]: entry["Value"] for entry in container(stack, Service.VECTOR_STORE)["Environment"]}
        for variables in (service, function(stack, Function.VECTOR_PROCESSING)["Environment"]["Variables"]):
            told = read_classes(variables["ENGINE_CLASSES"])
            assert [(each.name, each.dimension, each.metric, each.strings, each.numbers) for each in told] == [
                (each.name, each.dimension, each.metric, each.strings, each.numbers) for each in classes
            ]


def test_the_roles_of_the_vector_store_alone_use_classes_and_each_in_its_own_region(assembly: Assembly) -> None:
    for region, stack in assembly.regional("service").items():
        users = {
            task(stack, Service.VECTOR_STORE)["TaskRoleArn"]["Fn::GetAtt"][0],
            function(stack, Function.VECTOR_PROCESSING)["Role"]["Fn::GetAtt"][0],
        }
        found: dict[str, list[Properties]] = {}
        for roles, statement in _on_classes(stack):
            for role in roles:
                found.setdefault(role, []).append(statement)
        assert set(found) == users
        for use, search in found.values():
            assert {action.removeprefix("dynamodb:") for action in actions(use)} == ROWS
            assert "/index/" not in json.dumps(use["Resource"])
            assert actions(search) == ["dynamodb:SearchVectors"]
            assert "/index/nearest" in json.dumps(search["Resource"])
            assert all(f"arn:aws:dynamodb:{region}:" in json.dumps(s["Resource"]) for s in (use, search))
            assert not any("Condition" in statement for statement in (use, search)), "none holds a search"


def test_beside_them_only_recovery_reads_classes_to_see_that_they_can_be_read(assembly: Assembly) -> None:
    others = {
        (stack.name.rpartition("-")[2], action)
        for stack in assembly
        if not stack.name.endswith("-service")
        for _, statement in _on_classes(stack)
        for action in actions(statement)
    }
    reading = {("recovery", "dynamodb:DescribeTable"), ("recovery", "dynamodb:Scan")}
    assert others == (reading if _environment(assembly) == "prod" else set())


def _on_classes(stack: Template) -> Iterator[tuple[list[str], Properties]]:
    """Roles, and what they may do with tables of classes."""
    mark = f":table/anfl-{stack.name.split('-')[1]}-class-"
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for policy in (resource["Properties"] for resource in stack.resources(kind).values()):
            for statement in policy["PolicyDocument"]["Statement"]:
                if mark in json.dumps(statement["Resource"]):
                    yield [role["Ref"] for role in policy.get("Roles", [])], statement
