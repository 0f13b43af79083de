"""The one list of what the lab pins. A new version gets a new folder in the cache."""

from __future__ import annotations

from typing import Final

GO_MIN: Final = (1, 26)
JAVA_MIN: Final = (17,)

KUBERNETES: Final = "1.37.2"
KAFKA: Final = "4.1.1"
LOG4J: Final = "2.25.3"
GATEWAY_API: Final = "1.5.0"
