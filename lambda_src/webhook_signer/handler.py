"""Signs deliveries to webhooks for the function that makes them, which stands where no secret may be known.

Direct events: ``{"operation": "sign", …}`` with the members of an `anfl.registry.delivery_signatures.ToSign`, answered
with the signature; ``{"operation": "rewrap_keys", "after"?: …}`` moves wrapped keys to the active version and, in the
registry's home region alone, seals secrets from before (`anfl keys rewrap`); ``{"operation": "rewrap_due"}``, from a
schedule, moves keys alone. Answers are ``{"status": 200, "result": …}`` or ``{"status": 4xx or 503, "problem": …}``.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from anfl import aws, environment, resources, start
from anfl.crypto.rewrapped import Rewrap, Rewrapped
from anfl.crypto.vault_transit import wrapping_of
from anfl.decoding import convert
from anfl.invocation import Context, nearly_over
from anfl.problems import Problem, invalid
from anfl.registry.delivery_signatures import SIGN, Signer, ToSign, WithSecrets, sign_for
from anfl.registry.home import Home, home
from anfl.registry.rewrapping import SecretRewrapping
from anfl.registry.sealed_secrets import SealedSecrets
from anfl.registry.table import Table
from anfl.registry.webhooks import Webhooks
from anfl.resources import REWRAP, REWRAP_DUE
from anfl.telemetry import embedded

start.begin()

REWRAP_MARGIN_SECONDS = 15.0
"""Before the end of an invocation no other key, and no other page of the table, is begun with."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")
    table: str = msgspec.field(name="REGISTRY_TABLE")
    auth_table: str = msgspec.field(name="AUTH_TABLE")
    vault: str = msgspec.field(name="VAULT_ADDR")
    region: str = msgspec.field(name="AWS_REGION")


class Function:
    """The function over webhooks and what opens their secrets."""

    def __init__(
        self,
        webhooks: Webhooks,
        signer: Signer,
        rewrapping: SecretRewrapping,
        *,
        environment: str = "",
        written_in: Home | None = None,
    ) -> None:
        """:param environment: what its metrics name. :param written_in: None: there is no other region."""
        self.written_in = written_in
        self._webhooks = webhooks
        self._signer = signer
        self._rewrapping = rewrapping
        self._environment = environment

    def answer(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answer an event."""
        operation = event.get("operation")
        operations: Mapping[object, Callable[[dict[str, Any], Context], object]] = {
            SIGN: self._sign,
            REWRAP: self._rewrap,
            REWRAP_DUE: self._rewrap_due,
        }
        rest = {name: value for name, value in event.items() if name != "operation"}
        try:
            with embedded.call(resources.Function.WEBHOOK_SIGNER) as call:
                if operation not in operations:
                    raise invalid(f"operation is one of {', '.join(map(str, operations))}", field="operation")
                call.operation = str(operation)
                return {"status": 200, "result": msgspec.to_builtins(operations[operation](rest, context))}
        except Problem as problem:
            return {"status": problem.status, "problem": problem.document()}

    def _sign(self, event: dict[str, Any], _context: Context) -> dict[str, str]:
        return {"signature": sign_for(self._webhooks, self._signer, convert(event, ToSign))}

    def _rewrap(self, event: dict[str, Any], context: Context) -> Rewrapped:
        enough = nearly_over(context, margin=REWRAP_MARGIN_SECONDS)
        after = convert(event, Rewrap).after
        if self.written_in is not None and not self.written_in.is_here:
            return self._rewrapping.wrapped_keys(enough=enough)
        return self._rewrapping.turn(after=after, enough=enough)

    def _rewrap_due(self, _event: dict[str, Any], context: Context) -> Rewrapped:
        with embedded.keys_behind(environment=self._environment) as say:
            moved = self._rewrapping.wrapped_keys(enough=nearly_over(context, margin=REWRAP_MARGIN_SECONDS))
            say(moved.behind)
        return moved


@cache
def _function() -> Function:
    settings = environment.load(Settings)
    table = Table(name=settings.table, client=aws.session().client("dynamodb", config=aws.config(read_timeout=5)))
    transit, versions = wrapping_of(resources.Function.WEBHOOK_SIGNER, vault=settings.vault, table=settings.auth_table)
    secrets = SealedSecrets(table, transit, region=settings.region)
    webhooks = Webhooks(table, secrets=secrets)
    rewrapping = SecretRewrapping(table, webhooks, transit, versions)
    return Function(webhooks, WithSecrets(secrets), rewrapping, environment=settings.environment, written_in=home())


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The Lambda entry point."""
    return _function().answer(event, context)
