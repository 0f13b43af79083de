"""Further protections whose loss a rule of the world finds, beside the ten of the proof.

Each stands for a class of mistakes: a gate of traffic, a claim before its time, a write that rests
on nothing, an effect that is done twice, an exchange of writes without end.
"""

from __future__ import annotations

from typing import Final

from headrace_sandbox.mutants import CONTROLLER, ROUTER, Edit, Mutant

_CORE: Final = f"{CONTROLLER}/core"
_ANY: Final = ""
"""Looked for in what a hunt plays, since no one scenario brings it about."""


def _mutant(name: str, path: str, before: str, after: str, scenario: str = _ANY) -> Mutant:
    return Mutant(name, (Edit(path, before, after),), scenario)


FURTHER: Final = (
    _mutant(
        "stable has the pods for what it gets back",
        f"{_CORE}/canary/weights.py",
        "    if stable.available >= needed:\n        return True\n",
        "    return True\n",
    ),
    _mutant(
        "a weight of skipped steps is capped by the pods",
        f"{_CORE}/canary/weights.py",
        "    return max(current, min(weight, carried))",
        "    return weight if carried >= 0 else current",
    ),
    _mutant(
        "a canary without pods gets nothing",
        f"{_CORE}/canary/weights.py",
        "    if draft.new is None or draft.new.available == 0 or not has_scale(draft):",
        "    if draft.new is None or not has_scale(draft):",
    ),
    _mutant(
        "a canary Service waits for its route",
        f"{_CORE}/canary/services.py",
        "    if weight is not None and weight <= _weight_allowed(draft):\n",
        "    if weight is not None:\n",
    ),
    _mutant(
        "a Service moves only when the newest epoch is acknowledged",
        f"{_CORE}/canary/services.py",
        "    if stored is None or known is None or known.epoch != draft.epoch:\n",
        "    if stored is None:\n",
        "third-version-while-router-is-away",
    ),
    _mutant(
        "a dynamic canary is drained before its Service moves",
        f"{_CORE}/canary/drain.py",
        "    return is_empty and draft.stable.available >= draft.observed.replicas",
        "    return is_empty or draft.stable.available >= 0",
        "dynamic-stable-scale-and-abort",
    ),
    _mutant(
        "a ReplicaSet keeps the pods of its share",
        f"{_CORE}/share.py",
        "    if weight == 0 or draft.observed.replicas == 0:\n        return 0\n",
        "    if draft.observed.replicas >= 0:\n        return 0\n",
    ),
    _mutant(
        "destinations of an experiment count in the sum",
        f"{_CORE}/route.py",
        "    rest = draft.base - wanted.weight - sum(each.weight for each in wanted.additional)",
        "    rest = draft.base - wanted.weight",
        "experiment-step",
    ),
    _mutant(
        "header routes go with the update",
        f"{_CORE}/managed_routes.py",
        "    has_any = wanted.keeps_managed_routes and draft.revision > 1",
        "    has_any = draft.revision > 1",
    ),
    _mutant(
        "a weight is reached when it is acknowledged",
        f"{_CORE}/status/sync.py",
        "    if not draft.is_route_settled:\n        return False\n    return draft.weights",
        "    return draft.weights",
    ),
    _mutant(
        "an answer is of the epoch that is asked for",
        f"{_CORE}/route.py",
        "    if known.epoch != stored.epoch:\n        return\n",
        "",
        "storm-over-one-canary",
    ),
    _mutant(
        "a pause waits for its end",
        f"{_CORE}/canary/pause.py",
        "        return _is_resumed(draft)\n    seconds",
        "        return True\n    seconds",
        "canary-from-image-to-promotion",
    ),
    _mutant(
        "a failed run aborts",
        f"{_CORE}/analysis.py",
        "        draft.abort(_FAILURES[kind] + suffix)",
        "        draft.abort_message = _FAILURES[kind] + suffix",
        "bad-version-is-aborted",
    ),
    _mutant(
        "pre-promotion analysis holds the cutover",
        f"{_CORE}/bluegreen/cutover.py",
        "(is_pause_over(draft) and is_pre_promotion_passed(draft))",
        "is_pause_over(draft)",
        "blue-green-bad-version-before-the-switch",
    ),
    _mutant(
        "a preview is complete before the cutover",
        f"{_CORE}/bluegreen/cutover.py",
        "    elif is_ready_for_pause(draft) and is_saturated(draft, draft.new):",
        "    elif draft.new is not None and is_saturated is not is_ready_for_pause:",
        "blue-green-promote-full",
    ),
    _mutant(
        "post-promotion analysis holds the promotion",
        f"{_CORE}/bluegreen/promotion.py",
        "    if draft.is_aborted or not is_post_promotion_passed(draft):",
        "    if draft.is_aborted:",
        "blue-green-bad-version-after-the-switch",
    ),
    _mutant(
        "old pods stay for their delay",
        f"{_CORE}/scaling.py",
        "    if kept > limit or deadline is None or draft.now >= deadline:",
        "    if kept >= 0 or deadline is None:",
        "canary-from-image-to-promotion",
    ),
    _mutant(
        "ping and pong swap when the Service selects the new version",
        f"{_CORE}/canary/promotion.py",
        "        or selected_hash(draft, roles.canary) == draft.new_hash",
        "        or bool(roles.canary)",
        "ping-pong-promoted-in-full-while-the-router-is-away",
    ),
    _mutant(
        "size of a ReplicaSet is what it was computed from",
        f"{CONTROLLER}/patches.py",
        '        operations.append({"op": "test", "path": path, '
        '"value": current["spec"]["replicas"]})\n',
        "",
    ),
    _mutant(
        "resourceVersion on AnalysisRuns",
        "services/analysis-runner/analysis_runner/act.py",
        '        body = {"metadata": {"resourceVersion": observed.resource_version}, '
        '"status": changes}',
        '        body = {"status": changes}',
        "storm-analysis",
    ),
    _mutant(
        "the id of a fact follows from the fact",
        "shared/headrace/events/rollout.py",
        "        return str(self.ordinal)\n",
        '        return f"{self.ordinal}/{id(self)}"\n',
        "everybody-crashes-at-promotion",
    ),
    _mutant(
        "what the broker did not take is told again",
        "shared/headrace/events/outbox.py",
        "    waiting = [item for item in known if item.ordinal > status.published]\n",
        "    waiting = list(status.history[-1:])\n",
        "broker-away-all-the-time",
    ),
    _mutant(
        "key of the fence",
        "shared/headrace/ids.py",
        'f"headrace.io/route.{hashlib.sha256(uid.encode()).hexdigest()[:10]}"',
        '"headrace.io/route." + hashlib.sha256(b"").hexdigest()[:10]',
        "storm-gateway",
    ),
    _mutant(
        "a raise that comes too late is not even planned",
        f"{ROUTER}/core/objects.py",
        "    if is_raise and is_expired(document, request.server_now, rollout.acknowledged_epoch):",
        "    if request.server_now is None:",
        "raise-expires-unread",
    ),
    _mutant(
        "a label of several Rollouts",
        "shared/headrace/routes/gateway_api.py",
        "    is_in_progress = is_in_progress or _is_others_progress(manifest, document.uid)\n",
        "",
        "http-route-shared-while-in-progress",
    ),
    _mutant(
        "an aborted step plugin is undone",
        f"{_CORE}/canary/plugins.py",
        "    if draft.is_aborted:\n        _abort_runs(draft)\n",
        "    if draft.is_aborted:\n        return\n",
        "step-plugin-and-abort",
    ),
    _mutant(
        "an abort clears header and mirror routes",
        f"{_CORE}/canary/weights.py",
        "DesiredWeight(drained_weight(draft), keeps_managed_routes=False, is_abort=True)",
        "DesiredWeight(drained_weight(draft), is_abort=True)",
    ),
    _mutant(
        "a split that somebody changed is repaired",
        f"{ROUTER}/core/objects.py",
        "    if purpose is Purpose.REPAIR and not _weights_agree(document, rollout):",
        "    if purpose is Purpose.REPAIR:",
        "traffic-object-edited-by-hand",
    ),
    _mutant(
        "what a Rollout gives up is left clean",
        f"{ROUTER}/core/decide.py",
        "        writes += withdrawals(document, observed.withdrawn, kept)\n",
        "        writes += ()\n",
        "router-removed-in-mid-update",
    ),
    _mutant(
        "runs of an aborted update are ended",
        f"{_CORE}/analysis.py",
        " not in current and not is_completed(run.phase) and not run.is_terminating:",
        " in ():",
        "storm-analysis",
    ),
    _mutant(
        "an analysis step waits for its verdict",
        f"{_CORE}/canary/analysis.py",
        "    return run is not None and run.status == AnalysisPhase.SUCCESSFUL",
        "    return run is not None",
        "storm-analysis",
    ),
    _mutant(
        "a route waits for the stable Service",
        f"{_CORE}/route.py",
        "or _may_stay(draft)):\n",
        "or draft.roles.stable):\n",
        "canary-from-image-to-promotion",
    ),
    _mutant(
        "at 0 replicas a route waits for the stable Service",
        f"{_CORE}/route.py",
        "        return not service.managed_by\n",
        "        return True\n",
        "ping-pong-switched-on-at-zero-replicas",
    ),
    _mutant(
        "a repair is held against what is requested, too",
        f"{_CORE}/canary/weights.py",
        "    return weight > _persisted_weight(draft) and weight >= requested",
        "    return weight > _persisted_weight(draft) and requested >= 0",
        "fix-forward-whose-steps-are-edited",
    ),
    _mutant(
        "the first effects after a takeover rest on the live Rollout",
        f"{CONTROLLER}/handover.py",
        "            self._doubted.discard(key)\n"
        '            if live["metadata"]["resourceVersion"] != observed.resource_version:',
        "            self._doubted.discard(key)\n"
        '            if live["metadata"]["name"] != observed.name:',
        "controllers-take-over-with-an-old-cache",
    ),
    _mutant(
        "what a Rollout that is gone has left goes",
        f"{ROUTER}/core/decide.py",
        "    orphaned = tuple(releases(observed.orphans))",
        "    orphaned = tuple(releases(()))",
        "recreated-behind-a-gateway",
    ),
    _mutant(
        "a destination gets its weight from an Experiment that runs",
        f"{_CORE}/canary/experiment.py",
        "    if not name or current is None or current.phase != AnalysisPhase.RUNNING:",
        "    if not name or current is None:",
        "experiment-step",
    ),
    _mutant(
        "an abort ends the Experiment",
        f"{_CORE}/canary/experiment.py",
        "        or draft.is_aborted\n        or draft.status.promote_full\n",
        "        or draft.status.promote_full\n",
        "experiment-first-and-abort",
    ),
    _mutant(
        "a ReplicaSet that is deleted has no pods",
        f"{_CORE}/replica_sets.py",
        "        rs.replicas == 0\n        and rs.status_replicas == 0\n"
        "        and rs.is_status_current\n",
        "        rs.replicas >= 0\n",
        "history-has-no-room",
    ),
    _mutant(
        "a promotion waits for its route",
        f"{_CORE}/canary/promotion.py",
        "    if not draft.is_fully_promoted and not draft.is_route_settled:\n        return None\n",
        "",
        "canary-from-image-to-promotion",
    ),
    _mutant(
        "a promotion has all of its pods",
        f"{_CORE}/canary/promotion.py",
        "    if new.available < replicas and not _is_threshold_met(draft, replicas):\n"
        "        return None\n",
        "",
        "promote-full",
    ),
    _mutant(
        "a canary Service selects pods that answer",
        f"{_CORE}/canary/services.py",
        "    if check_availability and not _is_ready_for(service, rs):\n        return\n",
        "",
        "canary-from-image-to-promotion",
    ),
    _mutant(
        "an old version that a Service selects keeps its pods",
        f"{_CORE}/canary/scaling.py",
        "        if draft.is_routed and is_referenced(draft, rs):\n            continue\n",
        "",
        "third-version-supersedes-the-second",
    ),
    _mutant(
        "what a person holds is not scaled",
        f"{_CORE}/canary/scaling.py",
        "    if is_halted(draft):\n        return\n",
        "",
        "held-while-its-pods-come",
    ),
    _mutant(
        "no step ends while a person holds it",
        f"{_CORE}/status/sync.py",
        "    if draft.spec.paused or step is None:",
        "    if step is None:",
        "held-while-its-pods-come",
    ),
    _mutant(
        "old pods of blue-green stay until the verdict on the new ones",
        f"{_CORE}/bluegreen/scaling.py",
        " or holds_old_replica_sets(draft):",
        " or draft is None:",
        "blue-green-old-pods-until-the-verdict",
    ),
    _mutant(
        "the active Service goes to pods that answer",
        f"{_CORE}/bluegreen/services.py",
        "    if pod_hash == active_hash(draft) or can_answer(draft, pod_hash):\n        _point",
        "    if pod_hash or can_answer(draft, pod_hash):\n        _point",
        "blue-green-abort-while-stable-is-broken",
    ),
    _mutant(
        "nothing is made for a Rollout that is gone",
        f"{ROUTER}/act.py",
        "                await self._find_owner(cluster, observed)\n",
        "                pass\n",
        "recreated-while-the-router-lags",
    ),
    _mutant(
        "a promotion has the weight of the end",
        f"{_CORE}/canary/promotion.py",
        "    return route.weights.canary < route.weights.base",
        "    return route.weights.canary < 0",
        "more-pods-than-wanted-at-the-end",
    ),
)
"""Each is found within a minute in the scenario that it names, or by a hunt."""
