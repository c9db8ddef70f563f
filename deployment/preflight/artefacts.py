"""Are the images there that instances and tasks start from?"""

import re
from collections.abc import Iterator
from functools import partial

from bundling.vault_package import VAULT_REPOSITORY
from deployment.instances import instance_groups
from deployment.preflight.account import Account, AnswerError
from deployment.preflight.results import Check, Verdict, failed, ok
from deployment.rollout import Rollout

_IMAGE = re.compile(r"/(?P<repository>[a-z0-9-]+):(?P<tag>[A-Za-z0-9_.-]+)$")
_NAME = "al2023-ami-"
_PUBLIC_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def checks(account: Account, rollout: Rollout) -> Iterator[Check]:
    """For each region: the services' images, and the image and the package of Vault's nodes."""
    cluster = rollout.settings.deployment.vault.cluster
    for region in rollout.regions:
        for repository, tag in _service_images(rollout, region):
            yield Check(
                id=f"image.{repository}.{region}",
                region=region,
                look=partial(service_image, account, repository=repository, tag=tag, region=region),
            )
        if cluster and any(
            group.resource.stack.endswith("-vault") for group in instance_groups(rollout, region=region)
        ):
            yield Check(
                id=f"image.{VAULT_REPOSITORY}.{region}",
                region=region,
                look=partial(service_image, account, repository=VAULT_REPOSITORY, tag=cluster.version, region=region),
            )
            yield Check(
                id=f"image.vault.{region}",
                region=region,
                look=partial(vault_image, account, parameter=cluster.image_parameter, region=region),
            )


def _service_images(rollout: Rollout, region: str) -> list[tuple[str, str]]:
    """(repository, tag) of every container in the task definitions that comes from the account's registry."""
    found = set()
    for task in rollout.of("AWS::ECS::TaskDefinition", region=region):
        for container in task.get("ContainerDefinitions") or []:
            image = container["Image"]
            joined = (
                "".join(part for part in image["Fn::Join"][1] if isinstance(part, str))
                if isinstance(image, dict)
                else ""
            )
            if match := _IMAGE.search(joined):
                found.add((match["repository"], match["tag"]))
    return sorted(found)


def service_image(account: Account, *, repository: str, tag: str, region: str) -> Verdict:
    """Whether the registry of the region holds the image of the present sources."""
    push = f"REGISTRY=<account>.dkr.ecr.{region}.amazonaws.com make images"
    try:
        account.ask("ecr", "describe_images", region=region, repositoryName=repository, imageIds=[{"imageTag": tag}])
    except AnswerError as error:
        if error.code == "RepositoryNotFoundException":
            create = f"aws ecr create-repository --region {region} --repository-name {repository}"
            return failed(f"there is no repository {repository}", f"{create}, then: {push}")
        if error.code == "ImageNotFoundException":
            return failed(f"{repository}:{tag} was not pushed", push)
        raise
    return ok(f"{repository}:{tag} is there")


def vault_image(account: Account, *, parameter: str, region: str) -> Verdict:
    """Whether the region's parameter names an image from which Vault's nodes can start."""
    put = (
        f"aws ssm put-parameter --region {region} --name {parameter} --type String --data-type aws:ec2:image "
        f"--overwrite --value <image>, with Amazon Linux 2023's of {_PUBLIC_IMAGE}"
    )
    try:
        image_id = account.ask("ssm", "get_parameter", region=region, Name=parameter)["Parameter"]["Value"]
    except AnswerError as error:
        if error.code != "ParameterNotFound":
            raise
        return failed(f"there is no parameter {parameter}", put)
    try:
        images = account.ask("ec2", "describe_images", region=region, ImageIds=[image_id])["Images"]
    except AnswerError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        images = []
    if not images:
        return failed(f"{parameter} names {image_id}, which this account does not see", put)
    image = images[0]
    found = f"{image_id} ({image.get('Name', 'no name')}, {image['Architecture']}, {image['State']})"
    if image["State"] != "available" or image["Architecture"] != "x86_64":
        return failed(f"nodes cannot start from {found}", put)
    if not image.get("Name", "").startswith(_NAME):
        return failed(f"{found} is not Amazon Linux 2023", put)
    return ok(found)
