"""Routers as pure functions: route document and stored object in, desired object and split out.

One module per router (`smi`, `gateway_api`). The traffic-router writes what `render` and
`change` give; the rollout-controller reads the same objects back with `locate`, `resolve` and
`read_back`. Nothing here reads or writes anything, or knows the time.
"""

from __future__ import annotations

from headrace.routes.changes import Change, CreateObject, JsonChange, MergeChange
from headrace.routes.fence import (
    is_confirmed,
    is_expired,
    rank,
    read_fence,
    read_fences,
    stamp,
    unstamp,
)
from headrace.routes.readings import Reading, read_object
from headrace.routes.registry import (
    TRAFFIC_KINDS,
    locate,
    read_back,
    router_of,
    router_of_object,
)
from headrace.routes.router import Router
from headrace.routes.splits import Split, adds_rules, raises
from headrace.routes.targets import (
    ApiVersions,
    ObjectRef,
    ObjectSelector,
    RenderError,
    Sighting,
    Targets,
    resolve,
)

__all__ = [
    "TRAFFIC_KINDS",
    "ApiVersions",
    "Change",
    "CreateObject",
    "JsonChange",
    "MergeChange",
    "ObjectRef",
    "ObjectSelector",
    "Reading",
    "RenderError",
    "Router",
    "Sighting",
    "Split",
    "Targets",
    "adds_rules",
    "is_confirmed",
    "is_expired",
    "locate",
    "raises",
    "rank",
    "read_back",
    "read_fence",
    "read_fences",
    "read_object",
    "resolve",
    "router_of",
    "router_of_object",
    "stamp",
    "unstamp",
]
