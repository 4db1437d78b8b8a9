"""One reading of the process table answers all who ask at the same time, and none is older than its question."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.executors.subprocesses.process_table import ProcessTable, Row

ASKING = 6


class Machine:
    """Processes, of which one more begins with each reading; the first reading lasts until it is released."""

    def __init__(self) -> None:
        self.readings = 0
        self.reading = threading.Event()
        self.released = threading.Event()

    def read(self) -> list[Row]:
        self.readings += 1
        number = self.readings
        self.reading.set()
        assert self.released.wait(20)
        return [Row(pid, None, "") for pid in range(number)]


def test_questions_during_a_reading_share_the_next_one() -> None:
    machine = Machine()
    table = ProcessTable(machine.read)
    with ThreadPoolExecutor(ASKING + 1) as pool:
        first = pool.submit(table.rows)
        assert machine.reading.wait(20)
        others = [pool.submit(table.rows) for _ in range(ASKING)]
        while len(table.asking) <= ASKING:
            assert not first.done()
        machine.released.set()
        assert len(first.result(20)) == 1
        assert {len(one.result(20)) for one in others} == {2}
    assert machine.readings == 2
    assert not table.asking


def test_each_later_question_has_a_reading_of_its_own() -> None:
    machine = Machine()
    machine.released.set()
    table = ProcessTable(machine.read)
    assert [len(table.rows()) for _ in range(3)] == [1, 2, 3]


def test_after_a_reading_that_fails_the_table_is_read_again() -> None:
    answers: list[OSError | list[Row]] = [[], OSError(), [Row(1, None, "")]]

    def read() -> list[Row]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    table = ProcessTable(read)
    assert table.rows() == []
    with pytest.raises(OSError):  # noqa: PT011 - has no message
        table.rows()
    assert table.rows() == [Row(1, None, "")]
    assert not table.asking
