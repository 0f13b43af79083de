"""Flags of Argo Rollouts that mean nothing here, and why (cli-and-clients 11).

They are taken all the same, so that existing manifests start, and the log says so. A service
that declares a flag of one of these names gives it its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PACED: Final = "requests are not paced by the client; the API server's own fairness does that"
_ASYNC: Final = "waiting takes no thread; see --workers"
_NO_ROUTER: Final = "there is no such router yet"

WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "alb-ingress-classes": _NO_ROUTER,
    "alb-tag-key-resource-id": _NO_ROUTER,
    "alb-verify-weight": _NO_ROUTER,
    "ambassador-api-version": _NO_ROUTER,
    "analysis-threads": "waiting takes no thread; see --measurements-max",
    "appmesh-crd-version": _NO_ROUTER,
    "aws-target-group-binding-api-version": _NO_ROUTER,
    "aws-verify-target-group": _NO_ROUTER,
    "burst": _PACED,
    "controllers": "analysis alone is the service analysis-runner",
    "enable-pprof-address": "there is no profiler of Go",
    "ephemeral-metadata-threads": "pods are patched in order, within their reconcile",
    "ephemeral-metadata-update-pod-retries": "a patch of single keys meets no conflict",
    "experiment-threads": _ASYNC,
    "ingress-api-version": _NO_ROUTER,
    "ingress-threads": _ASYNC,
    "istio-api-version": _NO_ROUTER,
    "kloglevel": "there is no second log; see --log-level",
    "leader-elect": "Leases are always used; a lone replica holds all of them",
    "leader-election-renew-deadline": "follows from --lease-duration-seconds",
    "nginx-ingress-classes": _NO_ROUTER,
    "qps": _PACED,
    "self-service-notification-enabled": "no service sends notifications yet",
    "service-threads": _ASYNC,
    "traefik-api-group": _NO_ROUTER,
    "traefik-api-version": _NO_ROUTER,
    "traffic-split-api-version": "only services that read TrafficSplits take it",
}
