"""The embedded AWS: moto's API, the CloudFormation types it lacks, and functions and queues that really run."""
