from __future__ import annotations

from pathlib import Path

from headrace_lab.cache import Cache
from headrace_lab.parts.prometheus import configuration
from headrace_lab.site import Site
from headrace_lab.state import Options


def test_scrapes_the_pods_of_the_stand_in_and_envoy_every_second(tmp_path: Path) -> None:
    site = Site(tmp_path, {"envoy-admin": 9901}, Options(), 77, Cache(tmp_path))

    found = configuration(site)

    pods, envoy = found["scrape_configs"]
    assert found["global"]["scrape_interval"] == "1s"
    assert pods["file_sd_configs"][0]["files"] == [f"{tmp_path}/targets/*.json"]
    assert pods["honor_labels"]
    assert envoy["static_configs"] == [{"targets": ["127.0.0.1:9901"]}]
