"""The certificate authorities in the packages: Amazon's for every region, or the user's own."""

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from infra.packaging.authorities import REGIONS
from infra.packaging.build import build
from infra.packaging.errors import BuildError
from tests.certificates import make_certificate
from tests.functional.test_build import RUNTIME

KINDS = ("RSA2048", "RSA4096", "ECC384")


def built_bundle(folder: Path, rds_ca: Path | None = None) -> Path:
    build("lookup", folder / "lookup", runtime=RUNTIME, architecture="x86_64", rds_ca=rds_ca)
    return folder / "lookup" / "rds-ca.pem"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_bundle(tmp_path_factory.mktemp("authorities"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "region", ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "sa-east-1", "ap-southeast-2", "il-central-1"]
)
def test_amazons_authorities_of_every_kind_are_shipped(bundle: Path, region: str, kind: str) -> None:
    names = [
        found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        for found in x509.load_pem_x509_certificates(bundle.read_bytes())
    ]
    assert names.count(f"Amazon RDS {region} Root CA {kind} G1") == 1


def test_the_regions_that_the_preflight_accepts_are_those_of_the_bundle(bundle: Path) -> None:
    subjects = [found.subject.rfc4514_string() for found in x509.load_pem_x509_certificates(bundle.read_bytes())]
    found = {match[1] for subject in subjects if (match := re.search(r"Amazon RDS (\S+) Root CA", subject))}
    assert sorted(found) == sorted(REGIONS)


def test_amazons_authorities_are_roots_that_last_and_can_be_trusted(bundle: Path) -> None:
    authorities = x509.load_pem_x509_certificates(bundle.read_bytes())
    in_ten_years = datetime.now(UTC) + timedelta(days=3653)
    for authority in authorities:
        authority.verify_directly_issued_by(authority)
        assert authority.not_valid_after_utc > in_ten_years
        assert "Amazon RDS" in authority.subject.rfc4514_string()
    # 28 regions; as many are loaded by what the functions connect with
    loaded = ssl.create_default_context(cafile=str(bundle)).get_ca_certs()
    assert len(loaded) == len(authorities) == 28 * len(KINDS)


def test_the_users_own_authorities_replace_amazons(tmp_path: Path) -> None:
    # Given: a file with a remark, written on Windows
    text, _ = make_certificate(authority=True)
    file = tmp_path / "own.pem"
    file.write_bytes(f"Example Ltd, ask André\n{text}".replace("\n", "\r\n").encode())
    # When, then: the authority is shipped and nothing else
    assert built_bundle(tmp_path, file).read_text() == text


AUTHORITY, KEY = make_certificate(authority=True)
SERVER, _ = make_certificate(authority=False)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"", "holds no certificate"),
        (AUTHORITY[:-30].encode(), "holds no certificate, or one that is cut off"),
        ((AUTHORITY + AUTHORITY[:-30]).encode(), "holds no certificate, or one that is cut off"),
        ((AUTHORITY + KEY).encode(), "holds a private key"),
        ((AUTHORITY + SERVER).encode(), "certificate 2 is broken or not an authority's"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 is broken"),
    ],
    # Each process that runs tests makes certificates of its own, and all have to name the cases alike.
    ids=["not there", "no text", "empty", "cut off", "second cut off", "a key", "a server's", "broken"],
)
def test_a_file_that_cannot_be_trusted_fails_the_build(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BuildError) as error:
        built_bundle(tmp_path, file)
    assert str(error.value).startswith(f"RDS_CA: {file}: {why}")
    assert "let RDS_CA name a PEM file of certificate authorities, or leave it empty" in str(error.value)
    assert not (tmp_path / "lookup").exists()
