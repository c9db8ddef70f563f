"""What belongs to the account, what stays behind, and what a deployment must not find there."""

import ast
from collections import Counter
from collections.abc import Iterator

from tests.infrastructure.estate import Estate, Item, Verdict, strings

_LOG_POLICIES = 5
"""Of the ten that a region takes: services of AWS make some themselves, and so do other stacks of the account."""
_TIMEOUT_QUOTA = 29_000
"""Milliseconds, until AWS raises it for an account."""
_PHYSICAL_NAMES = {
    "AWS::Backup::BackupVault": "BackupVaultName",
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
}
"""Where a type takes the name of which an account or region has one."""
_DATA = {
    "AWS::Backup::BackupVault",
    "AWS::DynamoDB::GlobalTable",
    "AWS::KMS::Alias",
    "AWS::S3::Bucket",
}
"""Other stacks and regions know these by name, and they must stay: ``anfl cleanup --failed`` takes the empty ones away
that a failed first deployment leaves behind."""
_OWN = "AWS::StackId"
"""A name with the stack's own id in it is never the next stack's."""


def apps_have_the_flags(estate: Estate) -> Iterator[Verdict]:
    """The CLI reads ``cdk.json``; an app that a test makes by itself has none of its flags, and other templates."""
    for path, source in estate.sources.items():
        if path.startswith("tests/") and "App(" in source:
            for call in _apps(source):
                given = {keyword.arg for keyword in call.keywords}
                wrong = "" if "context" in given else "makes an app without the context of cdk.json"
                yield Verdict(subject=f"{path}:{call.lineno}", wrong=wrong)


def one_role_a_region_logs_for_api_gateway(estate: Estate) -> Iterator[Verdict]:
    """An account's setting, and the last one to set it wins: one, which stays when its stack goes."""
    regions = {item.place.region for item in estate.of("AWS::ApiGateway::Stage") if _logs(item)}
    accounts = list(estate.of("AWS::ApiGateway::Account"))
    for region in sorted(regions | {item.place.region for item in accounts}):
        found = [item for item in accounts if item.place.region == region]
        kept = all(item.whole.get("DeletionPolicy") == "Retain" for item in found)
        yield Verdict(
            subject=region,
            wrong="" if len(found) == 1 and kept else f"{len(found)} accounts of API Gateway; one that stays is needed",
        )


def log_policies_are_few(estate: Estate) -> Iterator[Verdict]:
    """CloudWatch Logs has room for ten resource policies a region, services' own among them."""
    count = Counter(item.place.region for item in estate.of("AWS::Logs::ResourcePolicy"))
    for region in sorted({place.region for place in estate.places.values()}):
        wrong = f"{count[region]} log resource policies; {_LOG_POLICIES} at most"
        yield Verdict(subject=region, wrong=wrong if count[region] > _LOG_POLICIES else "")


def integrations_end_within_the_quota(estate: Estate) -> Iterator[Verdict]:
    """A longer time-out synthesizes, and is refused unless AWS has raised the account's quota."""
    for item in estate.of("AWS::ApiGateway::RestApi"):
        for path, operations in item.properties.get("Body", {}).get("paths", {}).items():
            for verb, operation in operations.items():
                found = operation["x-amazon-apigateway-integration"]
                timeout = int(found.get("timeoutInMillis", _TIMEOUT_QUOTA))
                wrong = f"{verb} {path} waits {timeout} ms; without a raised quota {_TIMEOUT_QUOTA}"
                yield item.verdict(timeout <= _TIMEOUT_QUOTA, wrong)


def only_data_is_kept_under_a_fixed_name(estate: Estate) -> Iterator[Verdict]:
    """What stays when its stack goes is in the next stack's way, if both are called the same."""
    for item in estate.of(*_PHYSICAL_NAMES):
        name = item.properties.get(_PHYSICAL_NAMES[item.type])
        if item.whole.get("DeletionPolicy") == "Retain":
            free = name is None or _OWN in strings(name)
            yield item.verdict(free or item.type in _DATA, "stays under a name that the next deployment wants")


def grafana_lets_people_in_by_saml(estate: Estate) -> Iterator[Verdict]:
    """With AWS_SSO a workspace is refused where the account has no Identity Center."""
    for item in estate.of("AWS::Grafana::Workspace"):
        providers = list(item.properties["AuthenticationProviders"])
        yield item.verdict(providers == ["SAML"], f"lets people in by {', '.join(map(str, providers))}")


def consumers_come_after_producers(estate: Estate) -> Iterator[Verdict]:
    """A weak reference is read when its consumer is deployed: so that comes later, each time."""
    for place in estate.places.values():
        for producer in sorted(set(_producers(place.document))):
            wrong = "" if producer in place.needs else f"reads an output of {producer} and does not come after it"
            yield Verdict(subject=f"{place.name}: {producer}", wrong=wrong)


def _apps(source: str) -> Iterator[ast.Call]:
    """Calls of the CDK's ``App``."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="App") | ast.Attribute(attr="App")):
                yield node


def _logs(stage: Item) -> bool:
    levels = [setting.get("LoggingLevel", "OFF") for setting in stage.properties.get("MethodSettings", [])]
    return "AccessLogSetting" in stage.properties or any(level != "OFF" for level in levels)


def _producers(value: object) -> Iterator[str]:
    match value:
        case {"Fn::GetStackOutput": {"StackName": str(stack)}}:
            yield stack
        case dict():
            for inner in value.values():
                yield from _producers(inner)
        case list():
            for inner in value:
                yield from _producers(inner)
