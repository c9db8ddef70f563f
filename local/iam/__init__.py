"""Who may do what at the embedded AWS: the deployed policies, evaluated for each request of a role."""
