"""An application that is released in a namespace of the lab, driven and seen from outside.

What people do to it is sent as existing clients send it (cli-and-clients 2): plain patches,
written here as literals. Nothing of Headrace is imported, so that a test of it cannot agree with
it by construction.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import yaml

from headrace_lab.api import ApiClient
from headrace_lab.errors import ApiError, LabError
from headrace_lab.kube import MERGE_PATCH, SERVICES, Object, Resource, timestamp
from headrace_lab.lab import Lab
from headrace_lab.recording import (
    ANALYSIS_RUNS,
    DEPLOYMENTS,
    EVENTS,
    EXPERIMENTS,
    HTTP_ROUTES,
    REPLICA_SETS,
    ROLLOUTS,
    TRAFFIC_SPLITS,
    Recording,
)

EXAMPLES: Final = Path(__file__).resolve().parents[3] / "examples"
INSTANCE_ID: Final = "argo-rollouts.argoproj.io/controller-instance-id"
HASH: Final = "rollouts-pod-template-hash"
REVISION: Final = "rollout.argoproj.io/revision"
JSON_PATCH: Final = "application/json-patch+json"
_POLL_SECONDS: Final = 0.05

# Names of the examples.
SAMPLE_IMAGE: Final = "headrace/sample-app"
NAME: Final = "sample-app"
STABLE: Final = "rollout-canary-active"
CANARY: Final = "rollout-canary-preview"
ROOT: Final = "rollout-canary-all-traffic"
SPLIT: Final = "rollout-example-traffic-split"
ROUTE: Final = "sample-app"
"""The HTTPRoute of those that are routed by the Gateway API."""

GATEWAY_API: Final = {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": ROUTE}}}
"""The traffic routing that names it."""

Edit = Callable[[Object], None]
"""Changes a manifest in place before it is applied."""

ValueT = TypeVar("ValueT")


@dataclass(slots=True)
class Application:
    """One Rollout with its Services in a namespace of its own, recorded from the beginning.

    Attributes:
        namespace: Made by `start`, deleted by `close`.
        instance_id: Of the services that shall serve it; "" for those without.
        image: Without the tag. Only pods of `headrace/sample-app` have processes; others are
            ready at once.
        recording: What happens in the namespace.
    """

    lab: Lab
    namespace: str
    instance_id: str = ""
    image: str = SAMPLE_IMAGE
    patience_seconds: float = 60.0
    api: ApiClient = field(init=False)
    recording: Recording = field(init=False)

    def __post_init__(self) -> None:
        self.api = self.lab.api("person")
        self.recording = Recording(self.lab.kubeconfig("admin"), self.namespace)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Make the namespace and begin to record."""
        metadata = {"name": self.namespace}
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.recording.start()

    def close(self) -> None:
        """Stop recording and let the namespace go, its Rollouts first."""
        self.recording.close()
        for item in self.recording.all(ROLLOUTS):
            self._delete(ROLLOUTS.path(self.namespace, item["metadata"]["name"]))
        self._delete(f"/api/v1/namespaces/{self.namespace}")

    # What it consists of

    def apply_example(self, example: str, edit: Edit = lambda _: None) -> None:
        """Apply all manifests of a folder of `examples`, each edited first."""
        for path in sorted((EXAMPLES / example).glob("*.yaml"), reverse=True):
            for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                for container in _containers(manifest):
                    container["image"] = container["image"].replace(SAMPLE_IMAGE, self.image)
                edit(manifest)
                self.apply(manifest)

    def apply(self, manifest: Object) -> Object:
        """Apply a manifest in the namespace, for the instance id where it is one of ours."""
        metadata = {**manifest["metadata"], "namespace": self.namespace}
        if self.instance_id and manifest["apiVersion"].startswith("argoproj.io/"):
            metadata["labels"] = {**metadata.get("labels", {}), INSTANCE_ID: self.instance_id}
        return self.api.apply({**manifest, "metadata": metadata})

    def get(self, resource: Resource, name: str) -> Object:
        """Read an object from the API server. Raises ApiError."""
        answer: Object = self.api.get(resource.path(self.namespace, name))
        return answer

    def patch(self, resource: Resource, name: str, body: Any, *, subresource: str = "") -> Object:
        """Send a merge patch, or a JSON patch when the body is a list."""
        answer: Object = self.api.request(
            "PATCH",
            resource.path(self.namespace, name, subresource),
            body,
            content_type=JSON_PATCH if isinstance(body, list) else MERGE_PATCH,
        )
        return answer

    def delete(self, resource: Resource, name: str) -> None:
        """Delete an object; it may be gone already."""
        self._delete(resource.path(self.namespace, name))

    # What people do

    def set_image(self, tag: str, name: str = NAME) -> None:
        """Release a version: read, change, write back, as `set image` does."""
        path = self._template_path(name)
        for _ in range(5):
            holder = self.api.get(path)
            for container in _containers(holder):
                container["image"] = f"{self.image}:{tag}"
            try:
                self.api.request("PUT", path, holder)
            except ApiError as error:
                if error.status != 409:
                    raise
            else:
                return
        raise LabError(f"{name} was changed by somebody else five times")

    def promote(self, name: str = NAME) -> None:
        """Resume a paused Rollout, else skip the current step."""
        status = self.get(ROLLOUTS, name).get("status", {})
        changes: Object = {"pauseConditions": None}
        if not status.get("pauseConditions"):
            changes["currentStepIndex"] = status.get("currentStepIndex", 0) + 1
        self.patch_status({"status": changes}, name)

    def promote_full(self, name: str = NAME) -> None:
        """Skip all that is left."""
        self.patch_status({"status": {"promoteFull": True}}, name)

    def abort(self, name: str = NAME) -> None:
        """Bring all traffic back."""
        self.patch_status({"status": {"abort": True}}, name)

    def retry(self, name: str = NAME) -> None:
        """Begin again after an abort."""
        self.patch_status({"status": {"abort": False}}, name)

    def undo(self, name: str = NAME, revision: int = 0) -> None:
        """Write back the template of a revision; 0 is the one before."""
        owned = {
            int(item["metadata"]["annotations"].get(REVISION, 0)): item
            for item in self.replica_sets(name)
        }
        chosen = owned[revision or sorted(owned)[-2]]
        template = copy.deepcopy(chosen["spec"]["template"])
        del template["metadata"]["labels"][HASH]
        body: Any = [{"op": "replace", "path": "/spec/template", "value": template}]
        self.api.request("PATCH", self._template_path(name), body, content_type=JSON_PATCH)

    def terminate_experiment(self, name: str) -> None:
        """End an Experiment now."""
        self.patch(EXPERIMENTS, name, {"spec": {"terminate": True}})

    def retry_experiment(self, name: str) -> None:
        """Begin an Experiment again: nothing is left of its status."""
        self.patch(EXPERIMENTS, name, {"status": None})

    def patch_status(self, body: Object, name: str = NAME) -> None:
        """Send a merge patch to the status."""
        self.patch(ROLLOUTS, name, body, subresource="status")

    # What there is

    def rollout(self, name: str = NAME) -> Object:
        """Return the Rollout as seen last; {} when there is none."""
        return self.recording.get(ROLLOUTS, name) or {}

    def status(self, name: str = NAME) -> Object:
        """Return the Rollout's status as seen last."""
        status: Object = self.rollout(name).get("status", {})
        return status

    def headrace(self, name: str = NAME) -> Object:
        """Return `status.headrace` as seen last."""
        headrace: Object = self.status(name).get("headrace", {})
        return headrace

    def experiment(self, name: str) -> Object:
        """Return an Experiment as seen last; {} when there is none."""
        return self.recording.get(EXPERIMENTS, name) or {}

    def replica_sets(self, name: str = NAME) -> list[Object]:
        """Return the Rollout's ReplicaSets."""
        uid = self.rollout(name).get("metadata", {}).get("uid")
        return [item for item in self.recording.all(REPLICA_SETS) if _owner(item) == uid]

    def runs(self, name: str = NAME) -> list[Object]:
        """Return the Rollout's AnalysisRuns."""
        uid = self.rollout(name).get("metadata", {}).get("uid")
        return [item for item in self.recording.all(ANALYSIS_RUNS) if _owner(item) == uid]

    def events(self, name: str = NAME) -> list[Object]:
        """Return the Kubernetes Events on the Rollout."""
        return self.events_on(self.rollout(name))

    def events_on(self, item: Object) -> list[Object]:
        """Return the Kubernetes Events on an object."""
        uid = item.get("metadata", {}).get("uid")
        found = self.recording.all(EVENTS)
        return [event for event in found if event["involvedObject"].get("uid") == uid]

    def measurements(self, phase: str) -> int:
        """Return how many measurements of its runs ended in a phase, as `Successful`."""
        counter = phase[0].lower() + phase[1:]
        return sum(
            metric.get(counter, 0)
            for run in self.runs()
            for metric in run.get("status", {}).get("metricResults", [])
        )

    def hash_of(self, tag: str, name: str = NAME) -> str:
        """Return the pod hash of a version; "" when it has no ReplicaSet."""
        for item in self.replica_sets(name):
            if _containers(item)[0]["image"].endswith(f":{tag}"):
                return str(item["metadata"]["labels"][HASH])
        return ""

    def selected(self, service: str) -> str:
        """Return the pod hash that a Service selects; "" for none."""
        found = self.recording.get(SERVICES, service) or {}
        return str((found.get("spec", {}).get("selector") or {}).get(HASH, ""))

    def weights(self, split: str = SPLIT) -> dict[str, int]:
        """Return the weights of a TrafficSplit by Service; {} when there is none."""
        found = self.recording.get(TRAFFIC_SPLITS, split)
        return {} if found is None else split_weights(found)

    def route_weights(self, route: str) -> dict[str, int]:
        """Return the weights of the first rule of an HTTPRoute by Service."""
        found = self.recording.get(HTTP_ROUTES, route)
        if found is None:
            return {}
        return {
            ref["name"]: ref.get("weight", 1) for ref in found["spec"]["rules"][0]["backendRefs"]
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Wanted replicas by version."""
        return {
            _containers(item)[0]["image"].rpartition(":")[2]: item["spec"]["replicas"]
            for item in self.replica_sets()
        }

    @property
    def canary_weight(self) -> int | None:
        """What the TrafficSplit gives to the canary Service; None without a split."""
        return self.weights().get(CANARY)

    @property
    def host(self) -> str:
        """Host header of live users' requests."""
        return f"{ROOT}.{self.namespace}"

    def key(self, name: str = NAME) -> str:
        """Return the key of the Rollout's events."""
        return f"{self.namespace}/{name}"

    # Waiting

    def wait(
        self, condition: Callable[[], ValueT], what: str, seconds: float | None = None
    ) -> ValueT:
        """Return the condition's first true value. Raises LabError."""
        return self.recording.wait(condition, what, seconds or self.patience_seconds)

    def wait_phase(self, phase: str, seconds: float | None = None, name: str = NAME) -> None:
        """Return when the phase is so for the spec as it is."""
        self.wait(lambda: self.phase(name) == phase, f"{name} is {phase}", seconds)

    def wait_paused(self, step: int, seconds: float | None = None, name: str = NAME) -> None:
        """Return when the Rollout is paused at a step, counted from 0."""
        self.wait(
            lambda: (
                self.phase(name) == "Paused" and self.status(name).get("currentStepIndex") == step
            ),
            f"{name} is paused at step {step}",
            seconds,
        )

    def wait_experiment(self, name: str, phase: str, seconds: float | None = None) -> None:
        """Return when an Experiment has a phase."""
        self.wait(
            lambda: self.experiment(name).get("status", {}).get("phase") == phase,
            f"{name} is {phase}",
            seconds,
        )

    def wait_next_second(self, name: str = NAME) -> None:
        """Return when what is created now is younger than all ReplicaSets of the Rollout.

        Ways back compare creationTimestamps, which have whole seconds.
        """
        newest = max(item["metadata"]["creationTimestamp"] for item in self.replica_sets(name))
        while timestamp() <= newest:
            time.sleep(_POLL_SECONDS)

    def wait_weight(self, weight: int, seconds: float | None = None) -> None:
        """Return when the TrafficSplit gives so much to the canary Service."""
        self.wait(lambda: self.canary_weight == weight, f"weight {weight}", seconds)

    def phase(self, name: str = NAME) -> str:
        """Return the phase as clients tell it: Progressing until the spec has been observed."""
        rollout = self.rollout(name)
        status = rollout.get("status", {})
        if status.get("observedGeneration") != str(rollout.get("metadata", {}).get("generation")):
            return "Progressing"
        if status.get("controllerPause") and not status.get("pauseConditions"):
            return "Progressing"
        return str(status.get("phase", ""))

    def deploy(self, example: str = "canary-manual-approval", edit: Edit = lambda _: None) -> None:
        """Apply an example and wait until its first version is Healthy."""
        self.apply_example(example, edit)
        self.wait_phase("Healthy")

    def _template_path(self, name: str) -> str:
        """Return where the pod template is: the Rollout, or the Deployment that it refers to."""
        reference = self.get(ROLLOUTS, name)["spec"].get("workloadRef")
        if reference is None:
            return ROLLOUTS.path(self.namespace, name)
        return DEPLOYMENTS.path(self.namespace, reference["name"])

    def _delete(self, path: str) -> None:
        try:
            self.api.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise


def http_route(*services: str, gateway_host: str = "") -> Object:
    """Return the HTTPRoute with some backends: of the root Service, or of a Gateway's host."""
    parent: Object = {"group": "", "kind": "Service", "name": ROOT, "port": 80}
    if gateway_host:
        parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    backends = [{"name": service, "port": 80} for service in services]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE},
        "spec": {
            "parentRefs": [parent],
            **({"hostnames": [gateway_host]} if gateway_host else {}),
            "rules": [{"backendRefs": backends}],
        },
    }


def split_weights(split: Object) -> dict[str, int]:
    """Return the weights of a TrafficSplit by Service."""
    return {item["service"]: int(item["weight"]) for item in split["spec"].get("backends") or ()}


def _containers(manifest: Object) -> list[Object]:
    template = manifest.get("spec", {}).get("template", {})
    containers: list[Object] = template.get("spec", {}).get("containers", [])
    return containers


def _owner(item: Object) -> str | None:
    owners = item["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
