"""The batcher: whatever waits together is answered together, each caller with its own result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from evalkit.backends._batcher import Batcher, lacks_memory


def lengths(batches: list[list[str]], texts: Sequence[str]) -> list[int]:
    """Remembers the batch and returns the length of each text; no text may be `bad`."""
    batches.append(list(texts))
    if "bad" in texts:
        raise ValueError("a bad text")
    return [len(text) for text in texts]


def test_what_waits_is_cut_into_batches_by_length() -> None:
    async def ask() -> tuple[list[list[str]], list[int]]:
        batches: list[list[str]] = []
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher[str, int](lambda texts: lengths(batches, texts), 3, 8, thread)
            texts = ["x" * n for n in (5, 1, 8, 2, 7, 3, 6, 4)]
            found = await asyncio.gather(*(batcher.ask(text, len(text)) for text in texts))
            await batcher.close()
        return batches, found

    batches, found = asyncio.run(ask())
    assert found == [5, 1, 8, 2, 7, 3, 6, 4]
    assert [[len(text) for text in batch] for batch in batches] == [[8, 7, 6], [5, 4, 3], [2, 1]]


def test_workers_that_come_back_are_batched_again() -> None:
    async def ask() -> list[list[str]]:
        batches: list[list[str]] = []
        texts = iter(["x"] * 40)
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher[str, int](lambda texts: lengths(batches, texts), 4, 8, thread)

            async def work() -> None:
                for text in texts:
                    await batcher.ask(text, 1)

            await asyncio.gather(*(work() for _ in range(8)))
            await batcher.close()
        return batches

    batches = asyncio.run(ask())
    assert [len(batch) for batch in batches] == [4] * 10


def test_a_payload_that_breaks_its_batch_fails_alone() -> None:
    async def ask() -> list[int | BaseException]:
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher[str, int](lambda texts: lengths([], texts), 8, 8, thread)
            texts = ["a", "bb", "ccc", "bad", "dddd", "eeeee", "f"]
            asked = (batcher.ask(text, len(text)) for text in texts)
            found = await asyncio.gather(*asked, return_exceptions=True)
            await batcher.close()
        return list(found)

    found = asyncio.run(ask())
    assert [one for one in found if isinstance(one, int)] == [1, 2, 3, 4, 5, 1]
    assert repr(found[3]) == "ValueError('a bad text')"


def test_closing_leaves_nobody_waiting() -> None:
    async def ask() -> None:
        release = threading.Event()

        def wait(texts: Sequence[str]) -> list[int]:
            release.wait(10)
            return [0] * len(texts)

        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher[str, int](wait, 1, 3, thread)
            asked = [asyncio.create_task(batcher.ask("x", 1)) for _ in range(3)]
            await asyncio.sleep(0.05)
            late = asyncio.create_task(batcher.ask("x", 1))
            await asyncio.sleep(0.01)
            await batcher.close()
            release.set()
            for task in [*asked, late]:
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, 1)

    asyncio.run(ask())


def test_a_batch_that_lacks_memory_is_halved_and_no_later_one_is_as_large() -> None:
    sizes: list[int] = []

    def run(texts: Sequence[str]) -> list[int]:
        if len(texts) * max(map(len, texts)) > 40:
            raise MemoryError
        sizes.append(len(texts))
        return [len(text) for text in texts]

    async def ask() -> tuple[list[int], list[int], int]:
        relieved: list[None] = []
        with ThreadPoolExecutor(1) as thread:
            relieve = lambda: relieved.append(None)  # noqa: E731
            batcher = Batcher[str, int](run, 16, 64, thread, relieve)
            long = await asyncio.gather(*(batcher.ask("x" * 10, 10) for _ in range(32)))
            short = await asyncio.gather(*(batcher.ask("x", 1) for _ in range(32)))
            await batcher.close()
        return long, short, len(relieved)

    long, short, relieved = asyncio.run(ask())
    assert (long, short) == ([10] * 32, [1] * 32)
    assert sizes == [4] * 8 + [16, 16]  # what is shorter takes less
    assert relieved == 3


def test_what_says_that_memory_is_lacking_is_told_from_other_errors() -> None:
    assert lacks_memory(MemoryError())
    assert lacks_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert lacks_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not lacks_memory(RuntimeError("index out of range in self"))
