"""The way of a request: names, gateway, balancer, functions and services, what they use."""

from collections.abc import Iterator, Mapping

from stacks.diagrams.flowchart import QUEUE, STORE, WORLD, Flowchart
from stacks.figures.templates import Resource, Templates

_FUNCTION = "AWS::Lambda::Function"
_SERVICE = "AWS::ECS::Service"
_GUARD = "AWS::WAFv2::WebACLAssociation"


def draw(templates: Templates) -> str:
    """In the first region."""
    (api, *_) = templates.of("AWS::ApiGateway::RestApi")
    chart = Flowchart("LR")
    chart.node("clients", shape=WORLD)
    _names(chart, templates, api)
    _gateway(chart, templates, api)
    _balancer(chart, templates, api.stack)
    _parts(chart, templates, api.stack)
    return str(chart)


def _names(chart: Flowchart, templates: Templates, api: Resource) -> None:
    """Public names, and what each leads to."""
    records = templates.of("AWS::Route53::RecordSet", Type="A")
    ways = [(record, target) for record in records for target in templates.targets(record, "AliasTarget.DNSName")]
    for record, target in ways:
        if target.kind == "AWS::ApiGateway::DomainName" and record.region == api.region:
            chart.edge("clients", api.id, record.get("Name"))
        if target.kind == "AWS::CloudFront::Distribution":
            chart.node(target.id, "CloudFront" + "\nfirewall" * bool(target.get("DistributionConfig.WebACLId")))
            chart.edge("clients", target.id, record.get("Name"))
            for origin in templates.targets(target, "DistributionConfig.Origins.0.DomainName"):
                chart.node(origin.id, f"{origin.id.rstrip('0123456789ABCDEF')} bucket", shape=STORE)
                chart.edge(target.id, origin.id)
        if target.kind == "AWS::GlobalAccelerator::Accelerator":
            chart.node(target.id, "Global Accelerator")
            chart.edge("clients", target.id, record.get("Name"))
            for group in templates.of("AWS::GlobalAccelerator::EndpointGroup"):
                for endpoint in templates.targets(group, "EndpointConfigurations.0.EndpointId"):
                    if endpoint.region == api.region:
                        chart.edge(target.id, endpoint.id)
    if not ways:
        chart.edge("clients", api.id, "execute-api")


def _gateway(chart: Flowchart, templates: Templates, api: Resource) -> None:
    guarded = [found for stage in templates.of(_GUARD, stack=api.stack) for found in _guarded(templates, stage)]
    chart.node(api.id, "API Gateway" + "\nfirewall" * (api in guarded))
    for function in _once(templates.targets(api, "Body.components"), _FUNCTION):
        chart.edge(api.id, function.id, "who may?", dotted=True)
    behind = templates.targets(api, "Body.paths")
    for balancer in _once(behind, "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        chart.node(balancer.id, "internal balancer" + "\nfirewall" * (balancer in guarded))
        chart.edge(api.id, balancer.id, "VPC link")
    for function in _once(behind, _FUNCTION):
        chart.edge(api.id, function.id)


def _once(found: list[Resource], kind: str) -> list[Resource]:
    """Those of a type, each once."""
    return list({one.id: one for one in found if one.kind == kind}.values())


def _guarded(templates: Templates, association: Resource) -> list[Resource]:
    """What a firewall stands before: a balancer, or the API of a stage."""
    path = "ResourceArn.Fn::Join.1" if association.get("ResourceArn.Fn::Join") else "ResourceArn"
    return templates.targets(association, path)


def _balancer(chart: Flowchart, templates: Templates, stack: str) -> None:
    """Paths and the services behind them, without the stage that the gateway puts before each."""
    stages = tuple(f"/{stage.get('StageName')}/" for stage in templates.of("AWS::ApiGateway::Stage", stack=stack))
    for service in templates.of(_SERVICE, stack=stack):
        (group,) = templates.targets(service, "LoadBalancers.0.TargetGroupArn")
        paths = set()
        for rule in templates.of("AWS::ElasticLoadBalancingV2::ListenerRule", stack=stack):
            if group in templates.targets(rule, "Actions.0.TargetGroupArn"):
                paths |= set(rule.get("Conditions.0.PathPatternConfig.Values"))
                (listener,) = templates.targets(rule, "ListenerArn")
                (balancer,) = templates.targets(listener, "LoadBalancerArn")
        plain = sorted(path for path in paths if not path.startswith(stages))
        chart.edge(balancer.id, service.id, "\n".join(plain))


def _parts(chart: Flowchart, templates: Templates, stack: str) -> None:
    """Services and functions, and what they use."""
    for service in templates.of(_SERVICE, stack=stack):
        chart.node(service.id, f"{_short(service, 'ServiceName')}\nECS")
        (task,) = templates.targets(service, "TaskDefinition")
        variables = {entry["Name"]: entry["Value"] for entry in task.get("ContainerDefinitions.0.Environment")}
        _uses(chart, service, variables)
    sources = templates.of("AWS::Lambda::EventSourceMapping", stack=stack)
    for function in templates.of(_FUNCTION, stack=stack):
        chart.node(function.id, f"{_short(function, 'FunctionName')}\nLambda")
        variables = function.get("Environment.Variables")
        for source in sources:
            if function in templates.targets(source, "FunctionName"):
                queues = templates.targets(source, "EventSourceArn")
                fed = [n for n in variables if any(q in templates.targets(function, _variable(n)) for q in queues)]
                variables = {name: value for name, value in variables.items() if name not in fed}
                for name, shape in _stores(dict.fromkeys(fed)):
                    chart.node(name, shape=shape)
                    chart.edge(name, function.id, "messages")
        _uses(chart, function, variables)


def _variable(name: str) -> str:
    return f"Environment.Variables.{name}"


def _functions(templates: Templates, origin: Resource, path: str) -> list[Resource]:
    return [found for found in templates.targets(origin, f"{path}.Fn::Join.1") if found.kind == _FUNCTION]


def _uses(chart: Flowchart, part: Resource, variables: Mapping[str, object]) -> None:
    """What its variables name."""
    for name, shape in _stores(variables):
        chart.node(name, shape=shape)
        chart.edge(part.id, name)


def _stores(variables: Mapping[str, object]) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in sorted(variables):
        for ending, kind, shape in (
            ("_TABLE", "table", STORE),
            ("_BUCKET", "bucket", STORE),
            ("_QUEUE_URL", "queue", QUEUE),
        ):
            if name.endswith(ending):
                yield f"{name.removesuffix(ending).capitalize()} {kind}", shape
        if name == "VAULT_ADDR":
            yield "Vault", STORE
        if name == "ENGINE_CLASSES" and variables[name] != "[]":
            yield "Tables of classes", STORE


def _short(resource: Resource, path: str) -> str:
    return str(resource.get(path)).split("-", 2)[2]
