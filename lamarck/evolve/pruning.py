"""Which weights of an evolution nobody needs any more. Light."""

import shutil

from lamarck.evolve.places import Places
from lamarck.evolve.pool import Pool


def prune(pool: Pool, places: Places) -> tuple[list[str], int]:
    """Delete the weights of candidates that do not survive, and what a finished training went on from.

    Returns whose, and how many bytes. A run that is not over needs its survivors alone: parents are chosen among them,
    and of those that are still to be trained to the end their short rung.
    """
    kept = {entry.name for entry in (*pool.survivors(), *pool.front(), *pool.archive().values())}
    chosen = any(each.arm != "repeat" for each in pool.ledger.compared())  # the controls have begun
    gone: list[str] = []
    freed = 0
    for born in pool.ledger.born():
        done = pool.ledger.trained(born.candidate, "full")
        over = chosen or any(other.generation > born.generation for other in pool.ledger.born())
        for rung in ("short", "full"):
            directory = places.model(born.candidate, rung)
            needed = (born.candidate in kept) if rung == "full" else done is None and not over
            if directory.is_dir() and not needed:
                freed += sum(path.stat().st_size for path in directory.iterdir())
                shutil.rmtree(directory)
                gone.append(f"{born.candidate}/{rung}")
    return gone, freed
