"""Instances, tasks, functions and their queues."""

from collections.abc import Iterator

from tests.infrastructure.estate import Estate, Verdict

_ASSOCIATION = "AWS::ECS::ClusterCapacityProviderAssociations"
_DEFAULT_VISIBILITY = 30
_DEFAULT_TIMEOUT = 3
_VISIBILITY_FACTOR = 6


def services_wait_for_capacity(estate: Estate) -> Iterator[Verdict]:
    """The cluster knows its capacity provider only after the association: a service made before it is refused."""
    for item in estate.of("AWS::ECS::Service"):
        if not item.properties.get("CapacityProviderStrategy"):
            continue
        cluster = estate.target(item, item.properties.get("Cluster"), "AWS::ECS::Cluster")
        associations = {
            found.id
            for found in estate.of(_ASSOCIATION)
            if cluster and estate.target(found, found.properties["Cluster"], "AWS::ECS::Cluster") == cluster
        }
        yield item.verdict(associations & set(item.waits_for), "does not wait for its cluster's capacity provider")


def capacity_providers_protect_no_instance(estate: Estate) -> Iterator[Verdict]:
    """A capacity provider whose instances are protected hangs when it is deleted."""
    for item in estate.of("AWS::ECS::CapacityProvider"):
        provider = item.properties["AutoScalingGroupProvider"]
        protection = provider.get("ManagedTerminationProtection", "DISABLED")
        yield item.verdict(protection == "DISABLED", "protects its instances from being terminated")


def groups_protect_no_instance(estate: Estate) -> Iterator[Verdict]:
    """As `capacity_providers_protect_no_instance`: it is the group that ends its instances."""
    for item in estate.of("AWS::AutoScaling::AutoScalingGroup"):
        protected = item.properties.get("NewInstancesProtectedFromScaleIn", False)
        yield item.verdict(protected in (False, "false"), "protects new instances from being terminated")


def queues_leave_time_for_retries(estate: Estate) -> Iterator[Verdict]:
    """Lambda retries a batch itself: with less than six time-outs the queue hands it out a second time meanwhile."""
    for item in estate.of("AWS::Lambda::EventSourceMapping"):
        queue = estate.target(item, item.properties.get("EventSourceArn"), "AWS::SQS::Queue")
        function = estate.target(item, item.properties["FunctionName"], "AWS::Lambda::Function")
        if queue is None:
            continue
        visibility = int(queue.properties.get("VisibilityTimeout", _DEFAULT_VISIBILITY))
        timeout = int(function.properties.get("Timeout", _DEFAULT_TIMEOUT)) if function else None
        yield item.verdict(
            timeout is not None and visibility >= _VISIBILITY_FACTOR * timeout,
            f"takes from a queue that hides messages {visibility} s, with a time-out of {timeout} s: less than 6 times",
        )
