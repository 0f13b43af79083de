"""The all-in-one: the three services in one process, for a cluster too small for Kafka."""
