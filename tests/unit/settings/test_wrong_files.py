"""A wrong file: one line a problem, with file, path, value and what is allowed."""

from pathlib import Path

import pytest

from stacks.settings import SettingsError, load
from tests.unit.settings.conftest import Problems

ARCHITECTURE = "architecture.yaml"


def issuer(*, name: str = "first", issuer: str = "https://login.example.org") -> str:
    """One of OpenID Connect, that speaks for a tenant of its name."""
    keys = f"keys: https://login.example.org/keys, audience: anfl, tenant: {name}, roles: {{staff: reader}}"
    return f"{{name: {name}, issuer: {issuer}, {keys}}}"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        pytest.param(
            "environments/prod.yaml",
            "https://vault.{region}.{domain}:8200",
            "https://vault.{region}.anfl.internal:8200",
            "prod.yaml: deployment.vault.address: https://vault.{region}.anfl.internal:8200 is not allowed: "
            "https://, a name below {domain}, and :8200, where deployment.vault.cluster is set",
            id="a name that ACM knows nothing of",
        ),
        pytest.param(
            "environments/prod.yaml",
            "https://vault.{region}.{domain}:8200",
            "https://vault.{domain}:8200",
            "prod.yaml: deployment.vault.address: https://vault.{domain}:8200 is not allowed: "
            "{region} must stand in it where deployment.vault.cluster is set",
            id="one name for every region",
        ),
        pytest.param(
            "environments/common.yaml",
            "heartbeat: 5s",
            "heartbeat: 6s",
            "common.yaml: deployment.nodes.timeout: 0:00:15 is not allowed: at least three heartbeats, 0:00:18",
            id="gone at one lost heartbeat",
        ),
        pytest.param(
            "environments/common.yaml",
            "burst: 2000}",
            "burst: 999}",
            "common.yaml: deployment.throttle.burst: 999 is not allowed: at least a second's, rate: 1000",
            id="a burst below the rate",
        ),
        pytest.param(
            ARCHITECTURE,
            "min_size: 3",
            "min_size: 12",
            "architecture.yaml: compute.ecs.clusters[0].min_size: 12 is not allowed: at most max_size, 10",
            id="smallest above largest",
        ),
        pytest.param(
            ARCHITECTURE,
            "min_size: 3",
            "min_size: 0",
            "architecture.yaml: compute.ecs.clusters[0].min_size: 0 is not allowed: "
            "input should be greater than or equal to 1",
            id="no instance",
        ),
        pytest.param(
            ARCHITECTURE,
            "cidr: 10.0.0.0/16",
            "cidr: 100.64.0.0/16",
            "architecture.yaml: network.vpc.cidr: 100.64.0.0/16 is not allowed: "
            "nodes believe addresses of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 alone",
            id="VPC outside private networks",
        ),
        pytest.param(
            ARCHITECTURE,
            "10.0.11.0/24",
            "10.1.11.0/24",
            "architecture.yaml: network.vpc.subnets.private[1]: 10.1.11.0/24 is not allowed: "
            "it must lie inside network.vpc.cidr, 10.0.0.0/16",
            id="subnet outside",
        ),
        pytest.param(
            ARCHITECTURE,
            "10.0.11.0/24",
            "10.0.10.128/25",
            "architecture.yaml: network.vpc.subnets.private[1]: 10.0.10.128/25 is not allowed: "
            "it overlaps 10.0.10.0/24",
            id="subnets overlap",
        ),
        pytest.param(
            ARCHITECTURE,
            "10.0.11.0/24",
            "10.0.11.7/24",
            "architecture.yaml: network.vpc.subnets.private[1]: '10.0.11.7/24' is not allowed: "
            "an IPv4 network is needed, such as 192.0.2.0/24, with no bits behind the mask",
            id="no network",
        ),
        pytest.param(
            ARCHITECTURE,
            "memory: 1024",
            "memory: 20480",
            "architecture.yaml: compute.lambda.functions[0].memory: 20480 is not allowed: "
            "input should be less than or equal to 10240",
            id="memory beyond Lambda",
        ),
        pytest.param(
            ARCHITECTURE,
            "timeout: 600",
            "timeout: 901",
            "architecture.yaml: compute.lambda.functions[1].timeout: 901 is not allowed: "
            "input should be less than or equal to 900",
            id="time-out beyond Lambda",
        ),
        pytest.param(
            "environments/prod.yaml",
            "session: 8h",
            "session: 5m",
            "prod.yaml: deployment.tokens.session: 0:05:00 is not allowed: at least ttl, 0:15:00",
            id="a login shorter than its token",
        ),
        pytest.param(
            "environments/common.yaml",
            "issuers: []",
            f"issuers: [{issuer(name='first')}, {issuer(name='second')}]",
            "common.yaml: deployment.tokens.issuers: https://login.example.org is not allowed: "
            "it stands here 2 times; once is allowed",
            id="an issuer that speaks for two tenants, of which the last would have all people",
        ),
        pytest.param(
            "environments/common.yaml",
            "issuers: []",
            f"issuers: [{issuer()}, {issuer(issuer='https://elsewhere.example.org')}]",
            "common.yaml: deployment.tokens.issuers: first is not allowed: it stands here 2 times; once is allowed",
            id="two issuers of one name, whose people would have the same subjects",
        ),
        pytest.param(
            ARCHITECTURE,
            "90 days}",
            "30 days}",
            "architecture.yaml: encryption.at_rest.key_rotation: '30 days' is not allowed: "
            "a duration from 90 days to 2560 days is needed",
            id="rotation faster than KMS",
        ),
        pytest.param(
            ARCHITECTURE,
            "90 days}",
            "ninety days}",
            "architecture.yaml: encryption.at_rest.key_rotation: 'ninety days' is not allowed: "
            "a duration is needed, such as 30s, 5m, 4h, 90 days, or whole seconds",
            id="no duration",
        ),
        pytest.param(
            ARCHITECTURE,
            "c5.2xlarge",
            "c6g.2xlarge",
            "architecture.yaml: compute.ecs.clusters[0].instance_type: 'c6g.2xlarge' is not allowed: "
            "an x86-64 instance type is needed, one of: c5.2xlarge",
            id="another processor",
        ),
        pytest.param(
            ARCHITECTURE,
            "us-west-1, us-east-1",
            "us-west-9, us-east-1",
            "architecture.yaml: network.global.regions[0]: 'us-west-9' is not allowed: "
            "input should be 'us-west-1', 'us-east-1' or 'eu-west-1'",
            id="no such region",
        ),
        pytest.param(
            ARCHITECTURE,
            "threshold: 5%",
            "threshold: 5s",
            "architecture.yaml: alerts.critical[1].threshold: 5 (seconds) is not allowed: "
            "the threshold of high_error_rate is in percent",
            id="threshold in another unit",
        ),
        pytest.param(
            ARCHITECTURE,
            "scale_down: 25%",
            "scale_down: 80%",
            "architecture.yaml: scaling.vector_processing.thresholds.scale_down: 80% is not allowed: "
            "less than scale_up, 75%",
            id="scaling down above scaling up",
        ),
        pytest.param(
            ARCHITECTURE,
            "method: TLS 1.3",
            "method: TLS 1.2",
            "architecture.yaml: encryption.in_transit.method: 'TLS 1.2' is not allowed: input should be 'TLS 1.3'",
            id="weaker transport",
        ),
        pytest.param(
            ARCHITECTURE,
            "rto: 4h",
            "rto: 4h\n  drills: monthly",
            "architecture.yaml: recovery.drills: is no setting; known here: rpo, rto, steps",
            id="unknown key",
        ),
        pytest.param(ARCHITECTURE, "  rpo: 1h\n", "", "architecture.yaml: recovery.rpo: is missing", id="missing key"),
        pytest.param(
            ARCHITECTURE,
            "validate_backup, ",
            "",
            "architecture.yaml: recovery.steps: ['restore_infrastructure', 'verify_data', 'update_dns'] "
            "is not allowed: validate_backup must stand here too",
            id="a step left out",
        ),
        pytest.param(
            ARCHITECTURE,
            "rpo: 1h",
            "rpo: 10m",
            "architecture.yaml: recovery.rpo: 0:10:00 is not allowed: at least 0:15:00: S3 replicates no faster",
            id="recovery point nearer than replication",
        ),
        pytest.param(
            ARCHITECTURE,
            "retention: 30d",
            "retention: 36d",
            "architecture.yaml: backup.databases.retention: 36 days, 0:00:00 is not allowed: "
            "DynamoDB goes back, and ElastiCache keeps snapshots, 35 days at most",
            id="kept longer than DynamoDB and ElastiCache do",
        ),
        pytest.param(
            "environments/prod.yaml",
            "issuer: https://api.{domain}",
            "issuer: https://api.{zone}",
            "prod.yaml: deployment.tokens.issuer: 'https://api.{zone}' is not allowed: "
            "string should match pattern '^https://([a-z0-9.-]|\\{domain\\})+$'",
            id="a name that nothing stands for",
        ),
        pytest.param(
            "environments/prod.yaml",
            "nat_gateways: 2",
            "nat_gateways: 3",
            "prod.yaml: deployment.nat_gateways: 3 is not allowed: at most one a public subnet: 2",
            id="more NAT gateways than subnets",
        ),
        pytest.param(
            "environments/prod.yaml",
            "https://vault",
            "http://vault",
            "prod.yaml: deployment.vault.address: http://vault.{region}.{domain}:8200 is not allowed: "
            "https:// where retain_data is true",
            id="Vault in the clear",
        ),
        pytest.param(
            "environments/common.yaml",
            "[eu-west-1a, eu-west-1b]",
            "[eu-west-1a, us-east-1b]",
            "common.yaml: deployment.availability_zones.eu-west-1: us-east-1b is not allowed: "
            "a zone of eu-west-1 is needed, such as eu-west-1a",
            id="zone of another region",
        ),
        pytest.param(
            "environments/common.yaml",
            "[eu-west-1a, eu-west-1b]",
            "[eu-west-1a]",
            "common.yaml: deployment.availability_zones.eu-west-1: ['eu-west-1a'] is not allowed: "
            "one zone for each of the 2 public subnets in network.vpc.subnets",
            id="fewer zones than subnets",
        ),
        pytest.param(
            "environments/prod.yaml",
            "- kms",
            "- kms\n      - s3",
            "prod.yaml: deployment.endpoints.interface: s3 is not allowed: "
            "no interface endpoint: a gateway endpoint is there already",
            id="interface endpoint beside a gateway endpoint",
        ),
        pytest.param(
            "environments/prod.yaml",
            "- kms",
            "- kms\n      - sns",
            "prod.yaml: deployment.endpoints.interface: sns is not allowed: "
            "what is called through it must stand in CEILINGS of stacks/ceilings.py",
            id="endpoint without a ceiling",
        ),
        pytest.param(
            "environments/common.yaml",
            "absent: {}",
            "absent: {us-west-1a: [kms], us-west-1b: [kms]}",
            "common.yaml: deployment.endpoints.absent: kms is not allowed: "
            "an endpoint needs at least one zone in us-west-1",
            id="endpoint without a zone",
        ),
        pytest.param(
            "environments/common.yaml",
            "absent: {}",
            "absent: {us-west-1z: [kms]}",
            "common.yaml: deployment.endpoints.absent.us-west-1z: us-west-1z is not allowed: "
            "a zone of deployment.availability_zones",
            id="endpoint absent from a zone that is not used",
        ),
        pytest.param(
            "environments/common.yaml",
            "      eu-west-1: {s3: pl-6da54004, dynamodb: pl-6fa54006}\n",
            "",
            "common.yaml: deployment.endpoints.prefix_lists: eu-west-1 is not allowed: "
            "each region of the environment stands here",
            id="region without prefix lists",
        ),
        pytest.param(
            "environments/prod.yaml",
            "grafana_regions: [us-east-1, eu-west-1]",
            "grafana_regions: [us-west-1]",
            "prod.yaml: deployment.grafana_regions[0]: 'us-west-1' is not allowed: "
            "input should be <Region.US_EAST_1: 'us-east-1'> or <Region.EU_WEST_1: 'eu-west-1'>",
            id="Grafana where it does not exist",
        ),
        pytest.param(
            "environments/prod.yaml",
            'cron: "0 6 ? * SUN *"',
            'cron: "weekly"',
            "prod.yaml: deployment.restore_test.cron: 'weekly' is not allowed: "
            r"string should match pattern '^\S+ \S+ \S+ \S+ \S+ \S+$'",
            id="no schedule",
        ),
    ],
)
def test_one_line_says_where_what_and_what_is_allowed(
    problems: Problems, file: str, old: str, new: str, problem: str
) -> None:
    reported = problems(file, old, new)
    assert any(line.startswith(problem) for line in reported), reported


def test_every_problem_is_reported_at_once(files: Path) -> None:
    path = files / ARCHITECTURE
    path.write_text(path.read_text().replace("min_size: 3", "min_size: x").replace("rto: 4h", "rto: soon"))
    with pytest.raises(SettingsError) as caught:
        load("prod", root=files)
    assert [line.split(": ")[1] for line in caught.value.problems] == [
        "compute.ecs.clusters[0].min_size",
        "recovery.rto",
    ]


def test_a_figure_is_blamed_on_the_file_that_set_it(files: Path) -> None:
    overlay = files / "environments" / "dev.yaml"
    overlay.write_text(overlay.read_text().replace("max_size: 2}", "max_size: 0}", 1))
    with pytest.raises(SettingsError, match=r"^dev\.yaml: compute\.ecs\.clusters\[0\]\.max_size: 0 is not allowed"):
        load("dev", root=files)


def test_broken_yaml_names_its_line(problems: Problems) -> None:
    (line,) = problems(ARCHITECTURE, "rto: 4h", "rto: [4h")
    assert line.startswith("architecture.yaml: line ")
    assert "not valid YAML" in line


def test_a_key_written_twice_is_refused(problems: Problems) -> None:
    (line,) = problems(ARCHITECTURE, "  rto: 4h\n", "  rto: 4h\n  rto: 5h\n")
    assert line.endswith("the key 'rto' stands here twice")


def test_an_empty_file_is_refused(files: Path) -> None:
    (files / "environments" / "prod.yaml").write_text("")
    with pytest.raises(SettingsError, match=r"prod\.yaml: line 1: a mapping of settings is needed"):
        load("prod", root=files)
