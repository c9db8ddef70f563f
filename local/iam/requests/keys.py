"""Calls to KMS that AWS's services make with the rights of whoever called them."""

from local.iam import deployed
from local.iam.calls import Call, context


def through(service: str, region: str, key: str | None, *actions: str, **more: str) -> tuple[Call, ...]:
    """``actions`` of KMS on ``key``, by way of ``service``; none where data is not under a customer's key.

    :param more: further condition keys, with ``_`` in place of ``:``.
    """
    if key is None:
        return ()
    told = context(
        {
            "kms:ViaService": f"{service}.{region}.amazonaws.com",
            "kms:CallerAccount": deployed.ACCOUNT,
            **{name.replace("_", ":"): value for name, value in more.items()},
        }
    )
    aliases = (("kms:resourcealiases", deployed.key_aliases(key)),)
    return tuple(Call(action=f"kms:{action}", resource=key, context=told + aliases) for action in actions)
