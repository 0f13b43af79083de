"""How each part is built or fetched. See the table of the README for sizes and times."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Final

from headrace_lab import versions
from headrace_lab.cache import Artifact, Workshop
from headrace_lab.errors import BuildFailed
from headrace_lab.toolchain import APT_GET, DPKG_DEB, GO, JAVA, MAVEN, environment, find

# The staging repositories of Kubernetes are required as v0.0.0 and replaced by relative folders,
# which do not exist outside its own repository. They are published as v0.<minor>.<patch>.
STAGING_LINE: Final = re.compile(r"^\s*(k8s\.io/[a-z0-9-]+) v0\.0\.0$", re.MULTILINE)
# Each CRD costs the API server a fifth of a second: only what a router or the mesh reads.
GATEWAY_KINDS: Final = (
    "gatewayclasses",
    "gateways",
    "grpcroutes",
    "httproutes",
    "referencegrants",
    "tcproutes",
    "tlsroutes",
)

POM: Final = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>headracelab</groupId><artifactId>kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
NO_TRANSITIVE: Final = (
    "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
)


def build_kubernetes(workshop: Workshop) -> None:
    """Build kube-apiserver, kube-controller-manager and etcd from the Go module proxy."""
    go = find(GO)
    env = environment(
        {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false", "GOTOOLCHAIN": "local"}
    )
    module = workshop.folder / "module"
    module.mkdir()
    version = f"v{versions.KUBERNETES}"
    staging = f"v0.{versions.KUBERNETES.removeprefix('1.')}"

    def run(*argv: str) -> str:
        return workshop.run([go, *argv], env=env, cwd=module)

    run("mod", "init", "headracelab/kube")
    run("mod", "edit", "-go=1.26.0", "-godebug=default=go1.26")
    download = json.loads(run("mod", "download", "-json", f"k8s.io/kubernetes@{version}"))
    modules = STAGING_LINE.findall(Path(download["GoMod"]).read_text())
    replaces = [f"-replace={name}={name}@{staging}" for name in modules]
    run("mod", "edit", f"-require=k8s.io/kubernetes@{version}", *replaces)
    run(
        "build",
        "-trimpath",
        "-ldflags",
        _version_flags(version),
        "-o",
        f"{workshop.folder}/bin/",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    )
    run("build", "-trimpath", "-o", f"{workshop.folder}/bin/etcd", "go.etcd.io/etcd/server/v3")
    answer = workshop.run([f"{workshop.folder}/bin/kube-apiserver", "--version"])
    if answer.strip() != f"Kubernetes {version}":
        raise BuildFailed(f"the built kube-apiserver says {answer.strip()!r}, not {version}")


def _version_flags(version: str) -> str:
    package = "k8s.io/component-base/version"
    major, minor, _ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in values.items())


def fetch_kafka(workshop: Workshop) -> None:
    """Fetch the broker, its logging, and the console tools from Maven Central."""
    wanted = [
        ("org.apache.kafka", "kafka_2.13", versions.KAFKA, ""),
        # The tools drag in Connect and Jetty, which the console consumer does not use.
        ("org.apache.kafka", "kafka-tools", versions.KAFKA, NO_TRANSITIVE),
        ("org.apache.kafka", "kafka-tools-api", versions.KAFKA, ""),
        ("org.apache.logging.log4j", "log4j-api", versions.LOG4J, ""),
        ("org.apache.logging.log4j", "log4j-core", versions.LOG4J, ""),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", versions.LOG4J, ""),
    ]
    dependencies = "\n".join(
        f"    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version>{extra}</dependency>"
        for group, name, version, extra in wanted
    )
    (workshop.folder / "pom.xml").write_text(POM.format(dependencies=dependencies))
    workshop.run(
        [
            find(MAVEN),
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=libs",
        ]
    )


def fetch_prometheus(workshop: Workshop) -> None:
    """Download Debian's package and unpack it; nothing is installed and no root is needed."""
    folder = workshop.folder
    apt = [find(APT_GET), "-o", "APT::Sandbox::User=root", "-o", f"Dir::Cache={folder}/apt"]
    (folder / "apt" / "archives" / "partial").mkdir(parents=True)
    try:
        workshop.run([*apt, "download", "prometheus"])
    except BuildFailed:
        # No package lists yet, or stale ones: fetch them into a folder of our own.
        lists = folder / "lists"
        (lists / "partial").mkdir(parents=True)
        apt += ["-o", f"Dir::State::Lists={lists}"]
        workshop.run([*apt, "update"])
        workshop.run([*apt, "download", "prometheus"])
        shutil.rmtree(lists)
    shutil.rmtree(folder / "apt")
    packages = sorted(folder.glob("prometheus_*.deb"))
    if not packages:
        raise BuildFailed("apt-get download prometheus left no package")
    workshop.run([find(DPKG_DEB), "-x", str(packages[-1]), str(folder)])
    packages[-1].unlink()
    answer = workshop.run([f"{folder}/usr/bin/prometheus", "--version"])
    (folder / "version.txt").write_text(answer)


def fetch_gateway_api(workshop: Workshop) -> None:
    """Take the Gateway API's CRDs out of its Go module."""
    module = f"sigs.k8s.io/gateway-api@v{versions.GATEWAY_API}"
    env = environment({"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"})
    download = json.loads(workshop.run([find(GO), "mod", "download", "-json", module], env=env))
    source = Path(download["Dir"]) / "config" / "crd"
    target = workshop.folder / "crds"
    target.mkdir()
    for kind in GATEWAY_KINDS:
        # The standard channel where it has the kind.
        for channel in ("standard", "experimental"):
            path = source / channel / f"gateway.networking.k8s.io_{kind}.yaml"
            if path.exists():
                shutil.copyfile(path, target / path.name)
                break


KUBERNETES: Final = Artifact(
    name="kubernetes",
    version=versions.KUBERNETES,
    files=("bin/kube-apiserver", "bin/kube-controller-manager", "bin/etcd"),
    tools=(GO,),
    estimate="a cold build takes 5 to 10 minutes on two cores, a warm one seconds",
    build=build_kubernetes,
)
KAFKA: Final = Artifact(
    name="kafka",
    version=versions.KAFKA,
    files=(
        f"libs/kafka_2.13-{versions.KAFKA}.jar",
        f"libs/kafka-tools-{versions.KAFKA}.jar",
        f"libs/log4j-core-{versions.LOG4J}.jar",
    ),
    tools=(JAVA, MAVEN),
    estimate="about 15 s",
    build=fetch_kafka,
)
PROMETHEUS: Final = Artifact(
    name="prometheus",
    version="debian",
    files=("usr/bin/prometheus", "version.txt"),
    tools=(APT_GET, DPKG_DEB),
    estimate="about 5 s",
    build=fetch_prometheus,
)
GATEWAY_API: Final = Artifact(
    name="gateway-api",
    version=versions.GATEWAY_API,
    files=tuple(f"crds/gateway.networking.k8s.io_{kind}.yaml" for kind in GATEWAY_KINDS),
    tools=(GO,),
    estimate="seconds",
    build=fetch_gateway_api,
)
