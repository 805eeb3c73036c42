"""The garbage collector stays out of long imports, and out of what they leave."""

import gc
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from lamarck.heavy_imports import heavy_imports


@pytest.fixture(autouse=True)
def everything_is_collected_again() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_the_collector_is_away_while_something_is_imported_and_leaves_out_what_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gc.unfreeze()
    with heavy_imports():
        assert not gc.isenabled()
        monkeypatch.setitem(sys.modules, "imported_here", ModuleType("imported_here"))
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_where_nothing_was_imported_nothing_is_kept() -> None:
    gc.unfreeze()
    with heavy_imports():
        pass
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_collector_comes_back_where_an_import_fails() -> None:
    with pytest.raises(ModuleNotFoundError), heavy_imports():
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()
