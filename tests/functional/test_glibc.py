"""Which C library the built packages ask for, read from their shared objects by pyelftools: what a runtime can load."""

import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from infra.packaging.build import PACKAGES, build
from tests.support import ARCHITECTURE, RUNTIME

# The system of python3.12 and newer on Lambda, and that of python3.11. The C library as AWS compares the two,
# https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html, and the C++ library of their compilers, GCC 11 and
# 7.3, by https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html
AMAZON_LINUX_2023 = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13)}
AMAZON_LINUX_2 = {"GLIBC": (2, 26), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)}

Version = tuple[int, ...]


def needed_versions(library: Path) -> dict[str, Version]:
    """Return the highest version that a shared object asks for, of the C library and of the C++ library."""
    with library.open("rb") as stream:
        sections = [part for part in ELFFile(stream).iter_sections() if isinstance(part, GNUVerNeedSection)]
        names = [entry.name for section in sections for _, entries in section.iter_versions() for entry in entries]
    needed: dict[str, Version] = {}
    for match in filter(None, (re.fullmatch(r"(GLIBC|GLIBCXX|CXXABI)_([\d.]+)", name) for name in names)):
        version = tuple(int(part) for part in match[2].split("."))
        needed[match[1]] = max(version, needed.get(match[1], ()))
    return needed


def too_new(folder: Path, system: dict[str, Version]) -> dict[str, dict[str, Version]]:
    """Return what the shared objects of a package ask for and a system does not have."""
    libraries = list(folder.rglob("*.so*"))
    assert libraries
    found = {
        path.name: {kind: version for kind, version in needed_versions(path).items() if version > system[kind]}
        for path in libraries
    }
    return {name: missing for name, missing in found.items() if missing}


@pytest.mark.parametrize("name", PACKAGES)
def test_amazon_linux_2023_has_what_a_package_asks_for(packages: dict[str, Path], name: str) -> None:
    assert too_new(packages[name], AMAZON_LINUX_2023) == {}


def test_amazon_linux_2023_has_what_the_refresh_package_of_the_other_processor_asks_for(tmp_path: Path) -> None:
    other = "arm64" if ARCHITECTURE == "x86_64" else "x86_64"
    build("refresh", tmp_path / "refresh", runtime=RUNTIME, architecture=other)
    assert too_new(tmp_path / "refresh", AMAZON_LINUX_2023) == {}


def test_amazon_linux_2_lacks_what_the_refresh_package_asks_for(packages: dict[str, Path]) -> None:
    """Lambda's python3.11 runs on it: the template and `make deploy` refuse that runtime on AWS."""
    [library] = (packages["refresh"] / "pyarrow").glob("libarrow.so.*")
    assert library.name in too_new(packages["refresh"], AMAZON_LINUX_2)
