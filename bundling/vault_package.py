"""HashiCorp's package of Vault in the account's registry: its nodes have no way to the internet.

It lies there as an OCI artefact of two files, the package and the key that signed it. Nodes know the key's fingerprint
(``vault/node/user-data.sh``) and install nothing that it has not signed, so this needs to trust nobody.
"""

import requests

from bundling.errors import BundlingError
from bundling.registry import Registry

VAULT_REPOSITORY = "anfl-vault"
"""Its tags are Vault's releases."""
_HASHICORP = "https://rpm.releases.hashicorp.com"
_FILES = {
    "vault.rpm": f"{_HASHICORP}/AmazonLinux/latest/x86_64/stable/vault-{{version}}-1.x86_64.rpm",
    "hashicorp.asc": f"{_HASHICORP}/gpg",
}
_ARTIFACT = "application/vnd.hashicorp.vault.package"
_SECONDS = (10, 300)


def mirror(version: str, registry: Registry) -> bool:
    """Copy a release of Vault into ``registry``, unless it is there already; whether it was not.

    :raises BundlingError: HashiCorp does not give it, or AWS does not take it.
    """
    if registry.has(VAULT_REPOSITORY, version):
        return False
    files = {name: _download(url.format(version=version)) for name, url in _FILES.items()}
    registry.put(VAULT_REPOSITORY, version, files, kind=_ARTIFACT)
    return True


def _download(url: str) -> bytes:
    try:
        answer = requests.get(url, timeout=_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise BundlingError(f"{url} does not come: {error}") from error
    return answer.content
