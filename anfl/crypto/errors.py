"""How the distribution of wrapping keys fails."""


class DistributionError(Exception):
    """A person must decide: what stands in Vault and in the table do not fit. The message says what to do."""


class BusyError(Exception):
    """Somebody else imports into this region's Vault, or may still do so; try again when the lease is over."""


class UnknownOutcomeError(Exception):
    """Vault did not answer an import: whether it was done shows when the lease is over."""
