"""What webhooks may look like: MLflow's rules and messages, and where their requests may go."""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from anfl.problems import Problem
from anfl.public_hosts import Resolver, is_public
from anfl.registry.errors import invalid_parameter

MAX_URL_BYTES = 2048
MAX_SECRET_BYTES = 1000
MAX_DESCRIPTION_BYTES = 4000

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "REGISTERED_MODEL": ("CREATED",),
    "MODEL_VERSION": ("CREATED",),
    "MODEL_VERSION_TAG": ("SET", "DELETED"),
    "MODEL_VERSION_ALIAS": ("CREATED", "DELETED"),
    "PROMPT": ("CREATED",),
    "PROMPT_VERSION": ("CREATED",),
    "PROMPT_TAG": ("SET", "DELETED"),
    "PROMPT_VERSION_TAG": ("SET", "DELETED"),
    "PROMPT_ALIAS": ("CREATED", "DELETED"),
    "BUDGET_POLICY": ("EXCEEDED",),
}
"""Entity → what can happen to it, as the protocol names both."""
_STATUSES = ("ACTIVE", "DISABLED")


def name(text: str) -> str:
    """A usable name.

    :raises Problem: 400.
    """
    if _NAME.fullmatch(text) is None:
        message = (
            f"{_missing('name', text)}Webhook name {text!r} is invalid. It must start and end with a letter or digit,"
            " be less than 63 characters long, and contain only letters, digits, dots (.), underscores (_), and"
            " hyphens (-)."
        )
        raise invalid_parameter(message, field="name")
    return text


def events(given: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """``ENTITY.ACTION`` for each (entity, action), in the order given, each once.

    :raises Problem: 400.
    """
    if not given:
        message = f"{_missing('events', given)}Webhook events must be a non-empty list of WebhookEvent objects: []."
        raise invalid_parameter(message, field="events")
    for entity, action in given:
        if entity not in _ACTIONS:
            message = f"Invalid entity '{entity}'. Valid entities are: {sorted(_ACTIONS)}"
            raise invalid_parameter(message, field="events")
        if action not in _ACTIONS[entity]:
            valid = sorted(each.lower() for each in _ACTIONS[entity])
            message = f"Invalid action '{action.lower()}' for entity '{entity.lower()}'. Valid actions are: {valid}"
            raise invalid_parameter(message, field="events")
    return tuple(dict.fromkeys(f"{entity}.{action}" for entity, action in given))


def status(text: str) -> str:
    """A status.

    :raises Problem: 400.
    """
    if text not in _STATUSES:
        message = f"Invalid webhook status '{text}'. Value must be one of {', '.join(_STATUSES)}."
        raise invalid_parameter(message, field="status")
    return text


def url(text: str) -> SplitResult:
    """An address of a form that requests may go to. Whether the host is a public one, `public_address` tells.

    :raises Problem: 400.
    """
    if not text.strip():
        message = f"{_missing('url', text)}Webhook URL cannot be empty or just whitespace: {text!r}"
        raise invalid_parameter(message, field="url")
    try:
        parsed = urlsplit(text)
        port = parsed.port
        host = parsed.hostname
    except ValueError as error:
        raise _invalid_url(text, repr(error)) from None
    if parsed.scheme != "https":
        message = f"Invalid webhook URL scheme: {parsed.scheme!r}. Allowed schemes are: https."
        raise invalid_parameter(message, field="url")
    if not host:
        raise invalid_parameter(f"Webhook URL must include a hostname: {text!r}", field="url")
    if port == 0 or parsed.username is not None or not text.isascii() or re.search(r"[\x00-\x20\x7f]", text):
        raise _invalid_url(text, "give an ASCII URL without spaces and without a user name")
    if len(text) > MAX_URL_BYTES:
        raise _invalid_url(text[:100], f"it has more than {MAX_URL_BYTES} bytes")
    return parsed


def public_address(host: str, resolver: Resolver) -> str:
    """An address of ``host``: connect to it, not to the name, which may mean another one a moment later.

    :raises Problem: 400 where the name is unknown, or any of its addresses is not a public one.
    """
    try:
        addresses = resolver(host)
    except (OSError, UnicodeError) as error:
        message = f"Cannot resolve webhook URL hostname {host!r}: {error}"
        raise invalid_parameter(message, field="url") from None
    for address in addresses:
        if not is_public(address):
            message = f"Webhook URL must not resolve to a non-public IP address. {host!r} resolves to {address}."
            raise invalid_parameter(message, field="url")
    if not addresses:
        raise invalid_parameter(f"Cannot resolve webhook URL hostname {host!r}", field="url")
    return addresses[0]


def _missing(field: str, given: Sequence[object]) -> str:
    """What MLflow's server says of an absent value, before what its store says of an empty one."""
    return "" if given else f"Missing value for required parameter '{field}'. "


def _invalid_url(text: str, reason: str) -> Problem:
    return invalid_parameter(f"Invalid webhook URL {text!r}: {reason}", field="url")
