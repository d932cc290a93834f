"""Serve one contender over HTTP: `python -m tests.benchmarks.serve lookup|flask|floor PORT`."""

import os
import sys

from chalice.config import Config
from chalice.local import create_local_server

from infra import ROOT
from tests.benchmarks.api import bare_chalice, flask_app


def main() -> None:
    """Serve until stopped: Chalice's own threaded server, or Flask's."""
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "flask":
        flask_app(os.environ["DATABASE_URL"]).run("127.0.0.1", port, threaded=True)
        return
    sys.path.insert(0, str(ROOT / "chalice_app"))
    import app as lookup

    app = lookup.app if name == "lookup" else bare_chalice()
    create_local_server(app, Config.create(project_dir=str(ROOT / "chalice_app")), "127.0.0.1", port).serve_forever()


if __name__ == "__main__":
    main()
