"""What the service reads when it starts."""

import pytest

from anfl.environment import MissingSettingError
from services.model_registry.app import creator


def test_alias_policies_that_are_no_json_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "REGISTRY_TABLE": "registry",
        "ARTIFACTS_BUCKET": "artifacts",
        "VALIDATION_QUEUE_URL": "http://127.0.0.1/validation",
        "WEBHOOKS_QUEUE_URL": "http://127.0.0.1/webhooks",
        "VAULT_ADDR": "http://127.0.0.1:8200",
        "AUTH_TABLE": "auth",
        "TOKEN_ISSUER": "https://issuer.example",
        "TOKEN_AUDIENCE": "anfl",
        "THROTTLE_RATE": "20",
        "THROTTLE_BURST": "40",
        "ALIAS_POLICIES": "{'prod': 1}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MissingSettingError, match="ALIAS_POLICIES: "):
        creator()
