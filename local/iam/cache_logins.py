"""Who enters a cache: the password is a request, signed in its query, that nobody ever sends.

https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html: ``<group>/?Action=connect&User=<user>``, signed
for ``elasticache`` and good for fifteen minutes.
"""

from urllib.parse import parse_qsl, urlsplit

import msgspec

from local.iam import callers, signatures
from local.iam.callers import Caller, Credential
from local.iam.calls import Call
from local.iam.deployed import ACCOUNT
from local.iam.refusals import RefusedError

PATH = "/_anfl/cache-logins"
SERVICE = "elasticache"
MOST_SECONDS = 900


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says at the door of a cache."""

    region: str
    group: str
    user: str
    password: str


def needed(login: Login) -> list[Call]:
    """What the caller must be allowed."""
    place = f"arn:aws:{SERVICE}:{login.region}:{ACCOUNT}"
    named = (f"{place}:replicationgroup:{login.group}", f"{place}:user:{login.user}")
    return [Call(action=f"{SERVICE}:Connect", resource=resource) for resource in named]


def caller(login: Login) -> Caller | None:
    """Who has signed the password; None for an operator of the run.

    :raises RefusedError: nobody has, or for another cache or user, or it is too old.
    """
    parts = urlsplit(f"https://{login.password}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    scope = query.get("X-Amz-Credential", "").split("/")
    if len(scope) != 5 or (parts.path, parts.netloc) != ("/", login.group):
        raise RefusedError.incomplete_signature("The password is no request for this cache.")
    if (query.get("Action"), query.get("User")) != ("connect", login.user) or scope[2:4] != [login.region, SERVICE]:
        raise RefusedError.wrong_signature("The password is for something else.")
    credential = Credential(key=scope[0], region=scope[2], service=SERVICE, token=query.get("X-Amz-Security-Token", ""))
    found = callers.caller(credential)
    signatures.prove_link(host=parts.netloc, query=query, secret=callers.secret(scope[0]), most=MOST_SECONDS)
    return found
