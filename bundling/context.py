"""The build context of a service's image, as it is given to Docker."""

import shutil
from pathlib import Path

from bundling import native
from bundling.images import ServiceImage
from bundling.sources import ROOT


def stage_context(image: ServiceImage, folder: Path) -> None:
    """Copy what ``image`` is built from into the empty ``folder``, and compile what is compiled from it.

    :raises BundlingError: the C++ in it cannot be compiled.
    """
    for path in image.files:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    native.place(folder)
