"""Why something could not be bundled, and what to do."""


class BundlingError(RuntimeError):
    """A bundle or image could not be built, or what was built fails a gate."""


class BundleMissingError(BundlingError):
    """A bundle that synthesis needs has not been built from the sources as they are now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The bundle of the function {name} is not built for these sources: run 'make bundle' first.")
