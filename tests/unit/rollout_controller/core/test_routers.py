"""The routers that a Rollout configures (canary 5)."""

from headrace.model.traffic import TrafficRouting
from rollout_controller.core.routers import has_routers, router_configs


def test_routing_without_router_configures_none() -> None:
    assert not has_routers(None)
    assert not has_routers(TrafficRouting())
    assert has_routers(TrafficRouting.load({"smi": {}}))
    assert has_routers(TrafficRouting.load({"plugins": {"a/b": {}}}))


def test_routers_have_a_fixed_order() -> None:
    raw = {
        "plugins": {"b/b": {"x": None}, "a/a": {}},
        "smi": {"rootService": "root"},
        "istio": {"virtualServices": [{"name": "v"}]},
    }
    configs = router_configs(TrafficRouting.load(raw))
    assert [(config.kind, config.plugin) for config in configs] == [
        ("istio", None),
        ("smi", None),
        ("plugin", "a/a"),
        ("plugin", "b/b"),
    ]
    assert configs[1].config == '{"rootService":"root"}'
    assert configs[3].config == '{"x":null}'
