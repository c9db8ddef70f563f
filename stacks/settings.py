"""The architecture and one environment's deployment as typed, frozen settings.

``architecture.yaml`` holds the figures, ``environments/common.yaml`` what every environment deploys with, and
``environments/<environment>.yaml`` what one environment changes in either.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from stacks.checks import contradictions
from stacks.documents import DocumentError, Documents, Location, path_of
from stacks.models import Settings

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_ENVIRONMENT = "prod"
_COMMON = "common"
_KEEPS_DATA = (
    "-c regions={regions}: {environment} keeps its data, and leaving a region out would take that region's replicas "
    "away; deploy one region alone with: cdk deploy 'anfl-{environment}-{region}-*'"
)
_NOT_REMOVED = (
    "environments/{environment}.yaml: {region} does not stand in deployment.removed_regions; write it there first: "
    "from then on nothing deploys to it"
)


class SettingsError(Exception):
    """Settings that cannot be deployed; ``problems`` has one line each: file, path, value, what is allowed."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def environments(root: Path = ROOT) -> tuple[str, ...]:
    """Names of the environments that have a file."""
    return tuple(sorted(file.stem for file in (root / "environments").glob("*.yaml") if file.stem != _COMMON))


def load(
    environment: str = DEFAULT_ENVIRONMENT,
    *,
    regions: str | None = None,
    leaving: str | None = None,
    root: Path = ROOT,
) -> Settings:
    """The settings of ``environment``.

    :param regions: ``all``, or some of the architecture's regions joined by commas, instead of the environment's own.
    :param leaving: a region of ``deployment.removed_regions`` whose stacks are still there: with them, so that they can
        be destroyed.
    :param root: folder of ``architecture.yaml`` and ``environments/``.
    :raises SettingsError: with one line for every problem.
    """
    known = environments(root)
    if environment not in known:
        raise SettingsError([f"-c env={environment}: there is no such environment; allowed: {', '.join(known)}"])
    architecture = root / "architecture.yaml"
    files = [root / "environments" / f"{name}.yaml" for name in (_COMMON, environment)]
    try:
        documents = Documents(architecture, *files)
        settings = _parse(documents, environment)
        if leaving is not None:
            removed = [region.value for region in settings.deployment.removed_regions]
            if leaving not in removed:
                raise SettingsError([_NOT_REMOVED.format(region=leaving, environment=environment)])
            documents.tree["deployment"]["removed_regions"] = [region for region in removed if region != leaving]
            settings = _parse(documents, environment)
        if regions is None:
            return settings
        available: list[str] = Documents(architecture).tree["network"]["global"]["regions"]
        chosen = list(available) if regions == "all" else [name.strip() for name in regions.split(",")]
        if unknown := [name for name in chosen if name not in available]:
            raise SettingsError([f"-c regions={regions}: {', '.join(unknown)}: allowed: all, {', '.join(available)}"])
        if settings.deployment.retain_data and set(chosen) != set(settings.regions):
            raise SettingsError([_KEEPS_DATA.format(regions=regions, environment=environment, region=chosen[0])])
        documents.tree["network"]["global"]["regions"] = chosen
        return _parse(documents, environment)
    except DocumentError as error:
        raise SettingsError([str(error)]) from error


def _parse(documents: Documents, environment: str) -> Settings:
    try:
        settings = Settings.model_validate({**documents.tree, "environment": environment})
    except ValidationError as error:
        raise SettingsError(_described(documents, error)) from None
    problems = [
        f"{documents.file_of(at)}: {path_of(at)}: {value} is not allowed: {allowed}"
        for at, value, allowed in contradictions(settings)
    ]
    if problems:
        raise SettingsError(problems)
    return settings


def _described(documents: Documents, error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        at: Location = problem["loc"]
        where = f"{documents.file_of(at)}: {path_of(at)}"
        if problem["type"] == "extra_forbidden":
            yield f"{where}: is no setting; known here: {', '.join(_keys_beside(at))}"
        elif problem["type"] == "missing":
            yield f"{where}: is missing"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            yield f"{where}: {problem['input']!r} is not allowed: {message[:1].lower()}{message[1:]}"


def _keys_beside(at: Location) -> list[str]:
    """The settings that exist where the last part of ``at`` stands."""
    model: type[BaseModel] = Settings
    for part in at[:-1]:
        if isinstance(part, str):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            model = next(kind for kind in _models_in(fields[part].annotation))
    return sorted(field.alias or name for name, field in model.model_fields.items() if name != "environment")


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
