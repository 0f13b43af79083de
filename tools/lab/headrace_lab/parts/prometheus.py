"""Prometheus, which scrapes the lab's pods and Envoy every second."""

from __future__ import annotations

import json
from typing import Any, Final

from headrace_lab import artifacts
from headrace_lab.site import Part, Site

SCRAPE_INTERVAL: Final = "1s"


def configuration(site: Site) -> dict[str, Any]:
    """Return Prometheus' configuration.

    Pods come from files that the pod stand-in writes. What an application says of itself wins
    over what the discovery says (`honor_labels`): `app` and `role` are the application's.
    """
    return {
        "global": {
            "scrape_interval": SCRAPE_INTERVAL,
            "scrape_timeout": SCRAPE_INTERVAL,
            "evaluation_interval": SCRAPE_INTERVAL,
        },
        "scrape_configs": [
            {
                "job_name": "pods",
                "honor_labels": True,
                "file_sd_configs": [
                    {"files": [f"{site.directory}/targets/*.json"], "refresh_interval": "1s"}
                ],
            },
            {
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [site.address("envoy-admin")]}],
            },
        ],
    }


def _prepare(site: Site) -> None:
    (site.directory / "targets").mkdir(exist_ok=True)
    # JSON is YAML.
    text = json.dumps(configuration(site), indent=2) + "\n"
    (site.directory / "prometheus.yaml").write_text(text)


def _argv(site: Site) -> list[str]:
    return [
        str(site.cache.place(artifacts.PROMETHEUS) / "usr" / "bin" / "prometheus"),
        f"--config.file={site.directory}/prometheus.yaml",
        f"--storage.tsdb.path={site.directory}/prometheus",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={site.address('prometheus')}",
        "--log.level=warn",
    ]


def _is_ready(site: Site) -> bool:
    return site.http_ok("prometheus", "/-/ready")


PROMETHEUS: Final = Part(
    name="prometheus",
    argv=_argv,
    is_ready=_is_ready,
    prepare=_prepare,
    port_names=("prometheus",),
    artifacts=(artifacts.PROMETHEUS,),
    stop_seconds=5.0,
)
