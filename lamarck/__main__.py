"""`python -m lamarck`: the commands, also where the package is not installed."""

from lamarck.cli import main

main()
