"""OAuth 2.0 client credentials (RFC 6749, 4.4): a token for each measurement."""

from __future__ import annotations

import base64
from urllib.parse import quote_plus, urlencode

import orjson

from analysis_runner.core.samples import MeasurementError
from analysis_runner.providers.http import ProviderHttp
from headrace.model.providers import OAuth2
from headrace.runtime.http_client import HttpRequest


async def bearer_token(
    http: ProviderHttp, config: OAuth2, *, timeout_seconds: float, is_insecure: bool
) -> str:
    """Return an access token.

    Raises:
        MeasurementError: The configuration is incomplete or the server gives none.
    """
    if not config.client_id or not config.client_secret:
        raise MeasurementError("missing mandatory parameter in metric for OAuth2 setup")
    form = {"grant_type": "client_credentials"}
    if config.scopes:
        form["scope"] = " ".join(config.scopes)
    # RFC 6749, 2.3.1: both are form-encoded before they are joined.
    pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret)}"
    answer = await http.send(
        HttpRequest(
            "POST",
            config.token_url,
            (
                ("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ),
            urlencode(form).encode(),
            timeout_seconds,
            is_insecure,
        )
    )
    if answer.status // 100 != 2:
        raise MeasurementError(f"oauth2: cannot fetch token: {answer.status}")
    try:
        token = orjson.loads(answer.body).get("access_token")
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise MeasurementError("oauth2: cannot parse json") from error
    if not isinstance(token, str) or not token:
        raise MeasurementError("oauth2: server response missing access_token")
    return token
