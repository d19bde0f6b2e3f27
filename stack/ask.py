"""The operator's questions to the hub's API, asked on the machine so that no token leaves it.

{"method": "GET", "path": "/users"}            one a line on stdin; "body" is optional
{"status": 200, "body": [{"name": "user01"}]}  one answer a line; status 0: the hub is away
"""

import http.client
import json
import os
import sys

HUB = ("127.0.0.1", 8081)
TIMEOUT = 60  # seconds
# The first is what the hub gives a service of its own, such as notices.py.
TOKEN = os.environ.get("JUPYTERHUB_API_TOKEN") or os.environ.get("PROVISION_HUB_TOKEN", "")


def ask(method: str, path: str, body: object = None) -> dict:
    """One request, one answer. Never raises for what the hub or the network says."""
    connection = http.client.HTTPConnection(*HUB, timeout=TIMEOUT)
    headers = {"Authorization": f"token {TOKEN}"}
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, f"/hub/api{path}", body=content, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "body": str(error) or type(error).__name__}
    finally:
        connection.close()
    try:
        return {"status": answer.status, "body": json.loads(text) if text else None}
    except ValueError:
        return {"status": answer.status, "body": text}


if __name__ == "__main__":
    for line in sys.stdin:
        question = json.loads(line)
        said = ask(question["method"], question["path"], question.get("body"))
        print(json.dumps(said), flush=True)
