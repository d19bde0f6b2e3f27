"""`python -m tests.cloud.server`: the cloud as a process; its first line is its port."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from dataclasses import MISSING, fields
from typing import Any

from tests.cloud.settings import IMAGES, Settings

# moto reads these when it is imported: our images only, and no made-up ones or types.
os.environ["MOTO_AMIS_PATH"] = str(IMAGES)
os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "true"
os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "true"

KINDS = {"float": float, "int": int, "bool": bool}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.cloud.server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-parent", action="store_true", help="end when the parent does")
    for one in fields(Settings):
        flag = "--" + one.name.replace("_", "-")
        default = None if one.default is MISSING else one.default
        if one.type == "bool":
            parser.add_argument(flag, action="store_true")
        else:
            kind = KINDS.get(str(one.type).partition(" ")[0], str)
            parser.add_argument(flag, type=kind, default=default)
    return parser.parse_args(argv)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    asked = vars(arguments())
    host, port = asked.pop("host"), asked.pop("port")
    if asked.pop("with_parent"):
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()

    # Only now, with the environment as moto wants it.
    from moto.server import MotoRequestHandler
    from werkzeug.serving import make_server

    from tests.cloud.app import FakeCloud
    from tests.cloud.control import Control

    class Quiet(MotoRequestHandler):
        def log_request(self, *_: Any) -> None: ...

    cloud = FakeCloud(Settings(**asked))
    server = make_server(host, port, Control(cloud), threaded=True, request_handler=Quiet)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: sys.exit(0))
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    finally:
        cloud.hooks.finish()
        os._exit(0)  # nothing in here needs a tidy end, and moto takes its time for one


if __name__ == "__main__":
    main()
