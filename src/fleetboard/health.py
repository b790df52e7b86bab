"""How the team's commands ask an application process, past the proxy, whether it serves."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping

from fleetboard.errors import OperationError

_PATH = "/api/health"
_ANSWER_S = 5.0
_WAIT_S = 5.0


def status_and_version(address: str) -> tuple[int, str]:
    """HTTP status and version that one instance, ``host:port``, answers with.

    Raises:
        OperationError: it does not answer, or not with JSON.
    """
    connection = http.client.HTTPConnection(address, timeout=_ANSWER_S)
    try:
        connection.request("GET", _PATH, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, str(json.loads(answer.read())["version"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise OperationError(f"the instance on {address} does not answer {_PATH}: {error}") from error
    finally:
        connection.close()


def wait_for(instances: Mapping[str, str], versions: Mapping[str, str]) -> None:
    """Wait until these instances answer HTTP 200 with their version.

    Args:
        instances: address by name.
        versions: version expected, by name.

    Raises:
        OperationError: one does not within 5 s; the message says what it answers instead.
    """
    end = time.monotonic() + _WAIT_S
    for name, version in versions.items():
        while (found := status_and_version(instances[name])) != (200, version):
            if time.monotonic() > end:
                raise OperationError(
                    f"instance {name} answers {_PATH} with HTTP {found[0]} and version {found[1]}; "
                    f"it must be HTTP 200 and version {version}"
                )
            time.sleep(0.1)
