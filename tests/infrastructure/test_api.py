"""REST API and balancer: every route, who checks it, where it leads, what is answered otherwise."""

import json
import re
from fnmatch import fnmatchcase

import pytest

from anfl.auth.bearer import AUTHORIZATION
from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES
from anfl.resources import STAGE, Service
from tests.infrastructure.conftest import Assembly, Properties, Template

PUBLIC = set(PUBLIC_ROUTES)
ALL = {(route.method, route.path) for route in ROUTES} | PUBLIC


def document(stack: Template) -> Properties:
    """The API's OpenAPI document."""
    body: Properties = stack.only("AWS::ApiGateway::RestApi")["Body"]
    return body


def routes(stack: Template) -> dict[tuple[str, str], Properties]:
    """Method and path of every declared operation."""
    paths = document(stack)["paths"]
    return {(verb.upper(), path): found for path, verbs in paths.items() for verb, found in verbs.items()}


def integration(operation: Properties) -> Properties:
    """What answers an operation."""
    found: Properties = operation["x-amazon-apigateway-integration"]
    return found


def responses(stack: Template) -> dict[str, Properties]:
    """What the gateway answers itself, by type."""
    found: dict[str, Properties] = document(stack)["x-amazon-apigateway-gateway-responses"]
    return found


def test_exactly_the_routes_of_the_access_table_are_declared(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        assert set(routes(stack)) == ALL


def test_every_route_but_the_public_ones_asks_the_authorizer(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        (scheme,) = document(stack)["components"]["securitySchemes"]
        for route, operation in routes(stack).items():
            assert operation["security"] == ([] if route in PUBLIC else [{scheme: []}])


def test_the_authorizer_reads_the_bearer_token_and_is_cached_for_five_minutes(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        (scheme,) = document(stack)["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
        assert scheme["x-amazon-apigateway-authtype"] == "custom"
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        assert authorizer["type"] == "token"
        assert authorizer["authorizerResultTtlInSeconds"] == 300
        assert "AuthorizerFunction" in json.dumps(authorizer["authorizerUri"])
        assert authorizer["identityValidationExpression"] == AUTHORIZATION, "what functions and services take, too"
        expression = re.compile(authorizer["identityValidationExpression"])
        assert expression.fullmatch("Bearer eyJh.eyJz-_.c2ln")
        assert not expression.fullmatch("Basic dXNlcjpwYXNz")


def test_token_routes_lead_to_the_auth_function_which_api_gateway_may_call_for_them_alone(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        led = {route for route, found in routes(stack).items() if integration(found)["type"] == "aws_proxy"}
        assert led == {route for route in ALL if route[1].startswith("/v1/auth/")}
        permissions = stack.properties("AWS::Lambda::Permission")
        sources = {json.dumps(p["SourceArn"]) for p in permissions if p["Principal"] == "apigateway.amazonaws.com"}
        assert len(sources) == len(led) + 1
        for method, path in led:
            assert any(f"/{STAGE}/{method}{path}" in source for source in sources)
        assert all('"*"' not in source for source in sources)
        (wide,) = (source for source in sources if "/*" in source)
        assert "/authorizers/*" in wide  # an authorizer of a document has no id that a template knows


def test_all_other_routes_lead_through_the_vpc_link_to_the_balancer_with_their_parameters(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        (link,) = stack.resources("AWS::ApiGatewayV2::VpcLink")
        (balancer,) = stack.resources("AWS::ElasticLoadBalancingV2::LoadBalancer")
        for (verb, path), operation in routes(stack).items():
            found = integration(operation)
            if found["type"] == "aws_proxy":
                continue
            assert found["type"] == "http_proxy"
            assert found["httpMethod"] == verb
            assert found["connectionType"] == "VPC_LINK"
            assert found["connectionId"] == {"Ref": link}
            assert found["integrationTarget"] == {"Ref": balancer}
            assert found["timeoutInMillis"] == 29_000
            uri = found["uri"] if isinstance(found["uri"], str) else found["uri"]["Fn::Join"][1][-1]
            assert uri.endswith(path.replace("+}", "}"))
            names = re.findall(r"\{(\w+)\+?\}", path)
            assert [(each["name"], each["in"], each["required"]) for each in operation["parameters"]] == [
                (name, "path", True) for name in names
            ]
            for name in names:
                mapped = found["requestParameters"][f"integration.request.path.{name}"]
                assert mapped == f"method.request.path.{name}"


def test_the_link_stands_in_the_private_subnets_behind_its_group(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        link = stack.only("AWS::ApiGatewayV2::VpcLink")
        assert json.dumps(link["SubnetIds"]).count("NetworkPrivate") == 2
        assert "LinkGroup" in json.dumps(link["SecurityGroupIds"])


def test_the_api_is_regional_binary_and_speaks_tls_1_3_alone(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        api = stack.only("AWS::ApiGateway::RestApi")
        assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
        assert api["BinaryMediaTypes"] == ["*/*"]
        assert api["SecurityPolicy"] == "SecurityPolicy_TLS13_1_3_2025_09"
        assert api["EndpointAccessMode"] == "STRICT"


def test_prods_way_from_the_api_to_the_services_is_tls_1_3_under_the_regions_name(prod: Assembly) -> None:
    for region, stack in prod.regional("service").items():
        listener = stack.only("AWS::ElasticLoadBalancingV2::Listener")
        assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
        assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-3-2021-06"
        assert "Certificate" in json.dumps(listener["Certificates"])
        found = integration(routes(stack)["POST", "/v1/collections"])
        assert found["uri"] == f"https://{region}.api.lib.aeonova.com/v1/collections"


def test_dev_has_no_name_and_so_no_certificate(dev: Assembly) -> None:
    for stack in dev.regional("service").values():
        listener = stack.only("AWS::ElasticLoadBalancingV2::Listener")
        assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
        assert "Certificates" not in listener


def test_the_stage_is_throttled_measured_and_logged_without_secrets(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        stage = stack.only("AWS::ApiGateway::Stage")
        assert stage["StageName"] == STAGE
        (settings,) = stage["MethodSettings"]
        assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (2000, 4000)
        assert settings["MetricsEnabled"] is True
        assert "DataTraceEnabled" not in settings
        setting = stage["AccessLogSetting"]
        assert setting["DestinationArn"]["Fn::GetAtt"][0].startswith("ApiAccessLogs")
        log = setting["Format"]
        told = {value.removeprefix("$context.") for value in json.loads(log).values()}
        assert told >= {"requestId", "requestTime", "identity.sourceIp", "httpMethod", "resourcePath", "status"}
        assert "authorizer.requestId" in told, "by it the audit, which names the caller, is found"
        assert not re.search(r"header|authorizer\.(?!status|requestId)|querystring|\$context\.path", log, re.IGNORECASE)


RESPONSES = {
    "UNAUTHORIZED": 401,
    "ACCESS_DENIED": 403,
    "MISSING_AUTHENTICATION_TOKEN": 404,
    "REQUEST_TOO_LARGE": 413,
    "THROTTLED": 429,
    "AUTHORIZER_FAILURE": 503,
    "AUTHORIZER_CONFIGURATION_ERROR": 503,
    "INTEGRATION_FAILURE": 503,
    "INTEGRATION_TIMEOUT": 504,
    "DEFAULT_4XX": 400,
    "DEFAULT_5XX": 500,
}


@pytest.mark.parametrize(("kind", "status"), RESPONSES.items())
def test_what_the_gateway_answers_itself(assembly: Assembly, kind: str, status: int) -> None:
    for stack in assembly.regional("service").values():
        assert responses(stack)[kind]["statusCode"] == status


def test_every_gateway_response_is_a_problem_document(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        found = responses(stack)
        assert set(found) >= set(RESPONSES)
        for response in found.values():
            headers = response["responseParameters"]
            assert headers["gatewayresponse.header.content-type"] == "'application/problem+json'"
            problem = json.loads(response["responseTemplates"]["application/json"])
            assert set(problem) == {"type", "title", "status", "code", "detail", "error_code", "message"}
            assert problem["status"] == response["statusCode"]
            assert problem["type"] == f"urn:anfl:problem:{problem['code']}"


@pytest.mark.parametrize("kind", ["THROTTLED", "AUTHORIZER_FAILURE", "INTEGRATION_FAILURE"])
def test_what_may_work_later_says_when(assembly: Assembly, kind: str) -> None:
    for stack in assembly.regional("service").values():
        response = responses(stack)[kind]
        assert int(response["responseParameters"]["gatewayresponse.header.retry-after"].strip("'")) >= 1


def test_the_balancer_is_internal(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        balancer = stack.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert balancer["Scheme"] == "internal"
        assert "NetworkPublic" not in json.dumps(balancer["Subnets"])
        attributes = {a["Key"]: a["Value"] for a in balancer["LoadBalancerAttributes"]}
        assert attributes["deletion_protection.enabled"] == str("-prod-" in stack.name).lower()
        assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
        assert attributes["routing.http.desync_mitigation_mode"] == "strictest"


def test_prods_balancer_notes_every_request_where_elb_alone_may_write(prod: Assembly, dev: Assembly) -> None:
    for stack in prod.regional("service").values():
        (bucket,) = (k for k, r in stack.resources("AWS::S3::Bucket").items())
        (balancer,) = stack.resources("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
        attributes = {a["Key"]: a["Value"] for a in balancer["Properties"]["LoadBalancerAttributes"]}
        assert attributes["access_logs.s3.enabled"] == "true"
        assert attributes["access_logs.s3.bucket"] == {"Ref": bucket}
        (rule,) = stack.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
        assert rule["ExpirationInDays"] == 365
        (encryption,) = stack.only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        # ELB cannot write under a customer's key: access logs would be refused when they are switched on.
        assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        (policy,) = stack.resources("AWS::S3::BucketPolicy")
        assert policy in balancer["DependsOn"]
        statements = stack.only("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
        (granted,) = (s for s in statements if s["Effect"] == "Allow")
        assert granted["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
        assert granted["Action"] == "s3:PutObject"
        assert granted["Resource"]["Fn::Join"][1][1:] == ["/balancer/AWSLogs/", {"Ref": "AWS::AccountId"}, "/*"]
    for stack in dev.regional("service").values():
        assert not stack.resources("AWS::S3::Bucket")


def _service_for(stack: Template, path: str) -> str | None:
    """The service whose listener rule matches ``path`` first."""
    groups = {
        balancer["TargetGroupArn"]["Ref"]: balancer["ContainerName"]
        for service in stack.properties("AWS::ECS::Service")
        for balancer in service["LoadBalancers"]
    }
    rules = sorted(
        stack.properties("AWS::ElasticLoadBalancingV2::ListenerRule"), key=lambda rule: int(rule["Priority"])
    )
    for rule in rules:
        (condition,) = rule["Conditions"]
        if any(fnmatchcase(path, pattern) for pattern in condition["PathPatternConfig"]["Values"]):
            return str(groups[rule["Actions"][0]["TargetGroupArn"]["Ref"]])
    return None


def test_every_route_reaches_its_service_with_and_without_the_stage(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for _, path in ALL:
            if path.startswith("/v1/auth/"):
                continue
            registry = path.startswith(("/api/2.0/", "/ajax-api/2.0/", "/v1/models"))
            expected = Service.MODEL_REGISTRY if registry else Service.VECTOR_STORE
            concrete = re.sub(r"\{\w+\+?\}", "x", path)
            assert _service_for(stack, concrete) == expected
            assert _service_for(stack, f"/{STAGE}{concrete}") == expected
        assert _service_for(stack, "/metrics") is None


def test_a_rule_names_no_more_paths_than_elb_takes(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for rule in stack.properties("AWS::ElasticLoadBalancingV2::ListenerRule"):
            assert 1 <= len(rule["Conditions"][0]["PathPatternConfig"]["Values"]) <= 5


def test_what_no_rule_names_is_a_404_problem(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        (action,) = stack.only("AWS::ElasticLoadBalancingV2::Listener")["DefaultActions"]
        assert action["FixedResponseConfig"]["StatusCode"] == "404"
        assert json.loads(action["FixedResponseConfig"]["MessageBody"])["code"] == "not_found"


def test_targets_are_tasks_that_say_they_are_ready(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        groups = stack.properties("AWS::ElasticLoadBalancingV2::TargetGroup")
        assert len(groups) == len(Service)
        for group in groups:
            assert (group["TargetType"], group["Port"]) == ("ip", 8080)
            assert group["HealthCheckPath"] == "/health/ready"


def test_without_a_domain_the_api_answers_under_awss_own_name(dev: Assembly) -> None:
    for region, stack in dev.regional("service").items():
        assert stack.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is False
        assert f".execute-api.{region}." in json.dumps(stack.document["Outputs"]["ApiUrl"]["Value"])


def test_with_a_domain_it_does_not(prod: Assembly) -> None:
    for stack in prod.regional("service").values():
        assert stack.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
        assert "ApiUrl" not in stack.document["Outputs"]
