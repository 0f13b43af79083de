from __future__ import annotations

from headrace_lab.artifacts import STAGING_LINE

GO_MOD = """\
require (
\tk8s.io/api v0.0.0
\tk8s.io/apiserver v0.0.0
\tk8s.io/klog/v2 v2.140.0
\tk8s.io/kube-openapi v0.0.0-20260127142750-a19766b6e2d4
\tk8s.io/utils v0.0.0-20260108192941-914a6e750570
)
"""


def test_only_staging_modules_are_replaced() -> None:
    assert STAGING_LINE.findall(GO_MOD) == ["k8s.io/api", "k8s.io/apiserver"]
