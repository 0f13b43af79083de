from __future__ import annotations

from pathlib import Path

from headrace_lab.install import find_project, load, namespaced, roles

ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: traffic-router}\n"
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: traffic-router}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: traffic-router}
subjects: [{kind: ServiceAccount, name: traffic-router}]
"""
WORKLOAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: traffic-router}\n"


def test_takes_the_rights_of_the_deployment_and_nothing_that_runs(tmp_path: Path) -> None:
    base = tmp_path / "deploy" / "base"
    base.mkdir(parents=True)
    (base / "router.yaml").write_text("---\n".join([WORKLOAD, BINDING, ACCOUNT]))
    (base / "kustomization.yaml").write_text("resources: [router.yaml]\n")

    assert [manifest["kind"] for manifest in roles(tmp_path)] == [
        "ServiceAccount",
        "ClusterRoleBinding",
    ]


def test_puts_service_accounts_into_the_namespace_as_kustomize_does(tmp_path: Path) -> None:
    path = tmp_path / "rbac.yaml"
    path.write_text("---\n".join([ACCOUNT, BINDING]))

    namespace, account, binding = namespaced(load([path]))

    assert namespace["metadata"]["name"] == "headrace"
    assert account["metadata"]["namespace"] == "headrace"
    assert binding["subjects"][0]["namespace"] == "headrace"
    assert "namespace" not in binding["metadata"]


def test_unfolds_lists_and_skips_empty_documents(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("---\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n")

    assert [manifest["kind"] for manifest in load([path])] == ["A", "B"]


def test_finds_the_repository_that_it_lies_in() -> None:
    project = find_project()

    assert project is not None
    assert (project / "tools" / "lab").is_dir()
