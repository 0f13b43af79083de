"""Changes of the examples that make them quick, or independent of what they do not test."""

from __future__ import annotations

from headrace_lab.application import Edit
from headrace_lab.kube import Object


def together(*edits: Edit) -> Edit:
    """Return all changes as one."""

    def edit(manifest: Object) -> None:
        for each in edits:
            each(manifest)

    return edit


def pauses(*durations: str | None) -> Edit:
    """Let the pauses of a Rollout last so long, in order; None waits for a person."""

    def edit(manifest: Object) -> None:
        if manifest["kind"] == "Rollout":
            steps = manifest["spec"]["strategy"]["canary"]["steps"]
            for step, duration in zip(
                (step for step in steps if "pause" in step), durations, strict=True
            ):
                step["pause"] = {} if duration is None else {"duration": duration}

    return edit


def asks_prometheus(url: str) -> Edit:
    """Let the example's analysis ask another Prometheus than that of the deployment."""

    def edit(manifest: Object) -> None:
        if manifest["kind"] == "AnalysisTemplate":
            (argument,) = (a for a in manifest["spec"]["args"] if a["name"] == "prometheus")
            argument["value"] = url

    return edit


def measures_without_traffic(url: str, *, error_limit: int = 4) -> Edit:
    """Let the example's analysis begin at once and be content with any answer of Prometheus."""

    def edit(manifest: Object) -> None:
        if manifest["kind"] == "AnalysisTemplate":
            (metric,) = manifest["spec"]["metrics"]
            del metric["initialDelay"]
            metric["consecutiveErrorLimit"] = error_limit
            metric["provider"]["prometheus"] = {"address": url, "query": "vector(1)"}

    return edit
