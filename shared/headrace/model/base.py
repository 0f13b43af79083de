"""Base classes of every wire model.

A model is the typed view of one Kubernetes object or of a part of one. Models
are frozen, written in snake_case in Python and in camelCase on the wire. They
never refuse what the CRD admits: rules about values live in the validation of
the controller, so that a bad value becomes a condition and not a decode error.

Optional means absent: a field whose value equals its default is not dumped, so
an explicit zero survives only where the default is None ("pointer" fields, for
example `setWeight: 0`). This is the wire form that existing clients expect
(rollout-api 3, Omit-empty).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.alias_generators import to_camel

REQUIRED: Final = "x-headrace-required"
"""Marks, in a field's schema, what the CRD requires though the model does not."""


def required_by_server(zero: Any) -> Any:
    """Return a field that the CRD requires, and that reads as `zero` where it is missing.

    For what only users write: an object that came around the CRD (an older one admitted it) must
    become a condition, not a decode error. What we write ourselves is required in Python too.
    """
    return Field(default=zero, json_schema_extra={REQUIRED: True})


class Model(BaseModel):
    """A frozen part of a Kubernetes object."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
    )

    @classmethod
    def load(cls, raw: Mapping[str, Any]) -> Self:
        """Return the typed view of a decoded JSON object.

        Args:
            raw: The object as the API server sent it; unknown fields are ignored.

        Raises:
            pydantic.ValidationError: A value has a type that the CRD does not admit.
        """
        return cls.model_validate(raw)

    def dump(self) -> dict[str, Any]:
        """Return the JSON object of this model: wire names, defaults left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class Resource(Model):
    """A top-level object: it always says its apiVersion and kind."""

    API_VERSION: ClassVar[str] = "argoproj.io/v1alpha1"
    KIND: ClassVar[str]

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"apiVersion": self.API_VERSION, "kind": self.KIND, **handler(self)}
