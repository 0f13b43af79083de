"""Traffic routers of a canary and the weights that they carry (traffic-routing 2-11)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from headrace.model.base import Model, required_by_server
from headrace.model.quantities import Int32, Int64

OpenObject = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""Raw JSON whose shape belongs to somebody else."""


class StringMatch(Model):
    """How a header, path or method is compared."""

    exact: str = ""
    prefix: str = ""
    regex: str = ""


class TlsRoute(Model):
    """Selects TLS routes of a VirtualService by port and SNI hosts."""

    port: Int64 = 0
    sni_hosts: tuple[str, ...] = ()


class TcpRoute(Model):
    """Selects TCP routes of a VirtualService by port."""

    port: Int64 = 0


class IstioVirtualService(Model):
    """A VirtualService whose routes carry the weights."""

    name: str = required_by_server("")
    routes: tuple[str, ...] = ()
    tls_routes: tuple[TlsRoute, ...] = ()
    tcp_routes: tuple[TcpRoute, ...] = ()


class IstioDestinationRule(Model):
    """A DestinationRule whose subsets carry the pod hashes."""

    name: str = required_by_server("")
    canary_subset_name: str = required_by_server("")
    stable_subset_name: str = required_by_server("")
    additional_subset_names: tuple[str, ...] = ()


class IstioTrafficRouting(Model):
    """Istio (traffic-routing 2)."""

    virtual_service: IstioVirtualService | None = None
    virtual_services: tuple[IstioVirtualService, ...] = ()
    destination_rule: IstioDestinationRule | None = None


class NginxTrafficRouting(Model):
    """Canary Ingresses of the nginx ingress controller (traffic-routing 3)."""

    annotation_prefix: str = ""
    stable_ingress: str = ""
    stable_ingresses: tuple[str, ...] = ()
    additional_ingress_annotations: dict[str, str] = Field(default_factory=dict)
    canary_ingress_annotations: dict[str, str] = Field(default_factory=dict)


class StickinessConfig(Model):
    """Sticky sessions of an ALB target group."""

    enabled: bool = required_by_server(False)
    duration_seconds: Int64 = required_by_server(0)


class AlbTrafficRouting(Model):
    """Actions of an AWS ALB Ingress (traffic-routing 4)."""

    ingress: str = ""
    ingresses: tuple[str, ...] = ()
    service_port: Int32 = required_by_server(0)
    root_service: str = ""
    annotation_prefix: str = ""
    stickiness_config: StickinessConfig | None = None


class SmiTrafficRouting(Model):
    """A TrafficSplit of the Service Mesh Interface (traffic-routing 5)."""

    root_service: str = ""
    traffic_split_name: str = ""


class AmbassadorTrafficRouting(Model):
    """Mappings of Ambassador (traffic-routing 6)."""

    mappings: tuple[str, ...] = required_by_server(())


class AppMeshVirtualService(Model):
    """The virtual service whose router carries the weights."""

    name: str = required_by_server("")
    routes: tuple[str, ...] = ()


class AppMeshVirtualNodeReference(Model):
    """One virtual node."""

    name: str = required_by_server("")


class AppMeshVirtualNodeGroup(Model):
    """The virtual nodes of both versions."""

    canary_virtual_node_ref: AppMeshVirtualNodeReference | None = required_by_server(None)
    stable_virtual_node_ref: AppMeshVirtualNodeReference | None = required_by_server(None)


class AppMeshTrafficRouting(Model):
    """AWS App Mesh (traffic-routing 7)."""

    virtual_service: AppMeshVirtualService | None = None
    virtual_node_group: AppMeshVirtualNodeGroup | None = None


class TraefikTrafficRouting(Model):
    """A weighted TraefikService (traffic-routing 8)."""

    weighted_traefik_service_name: str = required_by_server("")


class ApisixRoute(Model):
    """An ApisixRoute and the rules of it that carry the weights."""

    name: str = required_by_server("")
    rules: tuple[str, ...] = ()


class ApisixTrafficRouting(Model):
    """Apache APISIX (traffic-routing 9)."""

    route: ApisixRoute | None = None


class ManagedRoute(Model):
    """A route that header and mirror steps may create and remove."""

    name: str = required_by_server("")


class TrafficRouting(Model):
    """The routers of a canary; several may be set at once (traffic-routing 0)."""

    istio: IstioTrafficRouting | None = None
    nginx: NginxTrafficRouting | None = None
    alb: AlbTrafficRouting | None = None
    smi: SmiTrafficRouting | None = None
    ambassador: AmbassadorTrafficRouting | None = None
    app_mesh: AppMeshTrafficRouting | None = None
    traefik: TraefikTrafficRouting | None = None
    apisix: ApisixTrafficRouting | None = None
    plugins: OpenObject = Field(default_factory=dict)
    managed_routes: tuple[ManagedRoute, ...] = ()
    max_traffic_weight: Int32 | None = None


class WeightDestination(Model):
    """The share of one Service; `weight` counts from 0 to maxTrafficWeight."""

    weight: Int32
    service_name: str = ""
    pod_template_hash: str = ""


class TrafficWeights(Model):
    """The weights set last on the routers."""

    canary: WeightDestination
    stable: WeightDestination
    additional: tuple[WeightDestination, ...] = ()
    verified: bool | None = None

    @property
    def base(self) -> int:
        """Weight of all traffic when they were set."""
        return sum(each.weight for each in (self.canary, self.stable, *self.additional))
