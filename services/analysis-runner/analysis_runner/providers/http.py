"""HTTP for providers: an answer that does not come is an error of the measurement."""

from __future__ import annotations

from typing import Final

from analysis_runner.core.samples import MeasurementError
from headrace import __version__
from headrace.errors import Unavailable
from headrace.runtime.http_client import HttpAnswer, HttpClient, HttpRequest

_USER_AGENT: Final = f"headrace-analysis-runner/{__version__}"


class ProviderHttp:
    """Sends the requests of all providers.

    Args:
        size_max: Bytes that an answer may have, > 0.
    """

    def __init__(self, size_max: int) -> None:
        self._client = HttpClient(size_max, _USER_AGENT)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request. Raises MeasurementError when there is none."""
        try:
            return await self._client.send(request)
        except Unavailable as error:
            raise MeasurementError(str(error)) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
