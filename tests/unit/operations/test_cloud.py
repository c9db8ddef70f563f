"""An account that cannot be asked is told of in words that say what to do."""

import pytest
from botocore.exceptions import NoCredentialsError, PartialCredentialsError

from operations.cloud import told
from operations.errors import OperationError


@pytest.mark.parametrize(
    "problem", [NoCredentialsError(), PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY")]
)
def test_whoever_has_no_credentials_learns_where_they_are_looked_for(problem: Exception) -> None:
    with pytest.raises(OperationError, match=r"redentials.*\. Set AWS_PROFILE, or cred.*"), told("Who you are"):
        raise problem
