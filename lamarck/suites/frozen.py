"""A frozen suite: the digest of each of its files, written once, checked ever after. Light.

config/suites/NAME/FROZEN has a line a file, `DIGEST  FILE`, in the form that `sha256sum --check` reads.
"""

from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import file_digests, write_text
from lamarck.lineage.digest import FROZEN, NOT_MEASURED, suite_digest
from lamarck.suites.suite import load_suite


def freeze(suite: Path) -> str:
    """Check the suite, write its FROZEN, and return its digest. Errors: LamarckError where it is frozen already."""
    if (suite / FROZEN).exists():
        raise LamarckError(f"{suite} is frozen already: make the changed suite under a new name")
    load_suite(suite)
    write_text(suite / FROZEN, _listed(suite))
    return suite_digest(suite)


def verify(suite: Path) -> str:
    """Read and check the whole suite; its digest. Errors: LamarckError that names the first file that differs."""
    load_suite(suite)
    if not (suite / FROZEN).exists():
        raise LamarckError(f"{suite} was never frozen: `lamarck suite freeze {suite}`, once, when it is done")
    lines = (suite / FROZEN).read_text(encoding="utf-8").splitlines()
    frozen = {file: digest for digest, _, file in (line.partition("  ") for line in lines)}
    found = file_digests(suite, NOT_MEASURED)
    for file in sorted(frozen.keys() | found.keys()):
        if frozen.get(file) != found.get(file):
            what = "was changed" if file in frozen and file in found else "is gone" if file in frozen else "is new"
            raise LamarckError(f"{suite}/{file} {what} since the suite was frozen: a changed suite is a new suite")
    return suite_digest(suite)


def _listed(suite: Path) -> str:
    return "".join(f"{digest}  {file}\n" for file, digest in file_digests(suite, NOT_MEASURED).items())
