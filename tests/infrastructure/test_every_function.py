"""Each function of prod, wherever it stands, as it was decided: a change of these figures shows here, too."""

from tests.infrastructure.conftest import Assembly

ONE, REGIONS = 1, 3
EXPECTED = {
    # name: (handler, runtime, memory in MB, seconds, architecture, MB of its own disk, how often)
    "accelerator-dial": ("handler.handler", "python3.13", 256, 60, "x86_64", 512, REGIONS),
    "auth": ("handler.handler", "python3.13", 512, 10, "x86_64", 512, REGIONS),
    "authorizer": ("handler.handler", "python3.13", 512, 10, "x86_64", 512, REGIONS),
    "bucket-replication": ("handler.handler", "python3.13", 256, 120, "x86_64", 512, REGIONS),
    "key-agent": ("handler.handler", "python3.13", 256, 300, "x86_64", 512, REGIONS),
    "key-leader": ("handler.handler", "python3.13", 256, 60, "x86_64", 512, ONE),
    "model-validation": ("handler.handler", "python3.13", 2048, 600, "x86_64", 4096, REGIONS),
    "object-copier": ("handler.handler", "python3.13", 256, 60, "x86_64", 512, REGIONS),
    "vault-bootstrap": ("handler.handler", "python3.13", 512, 900, "x86_64", 512, REGIONS),
    "vault-certificate": ("handler.handler", "python3.13", 256, 60, "x86_64", 512, REGIONS),
    "vector-processing": ("handler.handler", "python3.13", 1024, 300, "x86_64", 512, REGIONS),
    "watch": ("handler.handler", "python3.13", 256, 45, "x86_64", 512, REGIONS),
    "webhook-signer": ("handler.handler", "python3.13", 256, 60, "x86_64", 512, REGIONS),
    "webhooks": ("handler.handler", "python3.13", 256, 30, "x86_64", 512, REGIONS),
}


def test_every_function_is_as_decided(prod: Assembly) -> None:
    found: dict[str, list[tuple[object, ...]]] = {}
    for stack in prod.stacks.values():
        for each in (function["Properties"] for function in stack.resources("AWS::Lambda::Function").values()):
            (architecture,) = each["Architectures"]
            size = each["EphemeralStorage"]["Size"]
            facts = (each["Handler"], each["Runtime"], each["MemorySize"], each["Timeout"], architecture, size)
            found.setdefault(each["FunctionName"].removeprefix("anfl-prod-"), []).append(facts)
    assert {name: (*set(facts), len(facts)) for name, facts in found.items()} == {
        name: (expected[:-1], expected[-1]) for name, expected in EXPECTED.items()
    }
