"""The Services of the templates, by which a router or another client reaches their pods.

Source: experiment 4.2, 4.3; architecture, section 4: a Service that a route may name stays.
"""

from __future__ import annotations

from headrace.model.experiment import ExperimentTemplate
from rollout_controller.core.experiment import objects
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.plan import CreateService, DeleteService
from rollout_controller.core.observed import ReplicaSet


def reconcile_service(
    draft: Draft, template: ExperimentTemplate, rs: ReplicaSet, desired: int
) -> tuple[str, str]:
    """Plan what the Service of a template needs.

    Returns:
        serviceName and podTemplateHash of the template's status: both empty without a Service.
    """
    existing = draft.observed.services.get(template.name)
    is_wanted = template.service is not None
    if existing is None:
        manifest = objects.service(draft.observed, template, rs) if is_wanted and desired else None
        if manifest is None:
            return "", ""
        draft.effect(CreateService(template.name, manifest))
        return str(manifest["metadata"]["name"]), rs.pod_hash
    is_over = not is_wanted or (desired == 0 and rs.available == 0)
    if is_over and not draft.is_held(template, rs):
        draft.effect(DeleteService(template.name))
        return "", ""
    return existing.name, rs.pod_hash
