"""The asynchronous shells that all services share, and the only home of client libraries.

Ports (`cluster`, `bus`, `clock`) with a real and a memory adapter each; the loop of a service
(`reflector`, `store`, `workqueue`, `reconciler`); who may act (`lease`, `ownership`, `guard`);
and the life of a process (`settings`, `process`, `service`).
"""
