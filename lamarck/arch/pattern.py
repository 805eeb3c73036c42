"""Which earlier tokens a token may attend to. The same expressions serve integers and tensors, and need no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pattern:
    """A sparsity pattern, and the window that the cache policy adds. Positions count from 0; a query sees itself."""

    kind: str = "none"
    window: int = 0
    block_size: int = 0
    block_stride: int = 0
    global_stride: int = 0
    dilation: int = 0
    limit: int | None = None  # the cache policy's window: nothing further back is kept

    @property
    def dense(self) -> bool:
        """Every earlier token is seen."""
        return self.kind == "none" and self.limit is None

    def sees(self, query: Any, key: Any) -> Any:
        """Whether position `query` may attend to `key`; integers, or tensors that broadcast against each other."""
        seen = (key <= query) & self._fits(query, key)
        return seen if self.limit is None else seen & (query - key < self.limit)

    def keeps(self, following: Any, key: Any) -> Any:
        """Whether the token at position `following`, or any after it, may still attend to `key`: else it is dropped."""
        kept = self._lasts(following, key)
        return kept if self.limit is None else kept & (following - key < self.limit)

    def _fits(self, query: Any, key: Any) -> Any:
        if self.kind == "sliding":
            return query - key < self.window
        if self.kind == "block":
            return query // self.block_size == key // self.block_size
        if self.kind == "dilated":
            return (query - key) % self.dilation == 0
        return self._lasts(query, key)

    def _lasts(self, query: Any, key: Any) -> Any:
        if self.kind == "sliding":
            return query - key < self.window
        if self.kind == "block":
            return key // self.block_size >= query // self.block_size
        if self.kind == "local_global":
            return (query - key < self.window) | (key % self.global_stride == 0)
        if self.kind == "local_block":
            return (query - key < self.window) | (key % self.block_stride < self.block_size)
        return key >= 0
