"""MLflow's tests that cannot apply to a registry behind HTTP, and why: by name, with parameters where only those."""

_DATABASE = "looks into the SQL store's own database"
_CLIENT = "MLflow's REST client fails before anything is sent"
REASONS: dict[str, str] = {
    "test_delete_model_version_redaction": _DATABASE,
    "test_search_model_versions_includes_workspace_predicate": _DATABASE,
    "test_search_registered_models_includes_workspace_predicate": _DATABASE,
    "test_webhook_secret_encryption": _DATABASE,
    "test_search_model_versions_pagination": f"asks for 1e15 results at last: {_CLIENT} (a float is no int64)",
    "test_search_registered_model_pagination": f"asks for 1e15 results at last: {_CLIENT} (a float is no int64)",
    "test_create_webhook_invalid_events": f"numbers for events: {_CLIENT}",
    "test_update_webhook_invalid_events": "an empty list of events is no list on the wire: it leaves them as they are",
    "test_create_webhook[workspace-disabled]": "wants the secret back, which MLflow's server never tells either",
    "test_create_model_version_with_model_id_and_no_run_id": "mocks a tracking server within the SQL store's process",
}
