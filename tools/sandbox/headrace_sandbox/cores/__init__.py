"""Ring 1: the pure cores alone, in the same world and under the same rules as the full shells.

Each service is one process that sees stored objects a little late, asks its `decide`, and does
what the plan says, one request after the other. There are no queues, caches of reflectors,
Leases, encoded messages or Kubernetes Events, so what is found here is a core's own fault.
"""
