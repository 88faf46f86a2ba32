"""One process a run directory: the second is refused and told who has it, whoever opened what before."""

import errno
import multiprocessing
import os

import pytest

from lab.errors import HostNotReady, UsageError
from lab.results.lock import RunLock, holder


@pytest.fixture
def taken(tmp_path):
    lock = RunLock(tmp_path)
    lock.take()
    yield lock
    lock.release()


def asked_elsewhere(path) -> tuple[int | None, str]:
    """Return who has a lock and what one who takes it is told, as another process sees them."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_ask, (path,))


def _ask(path) -> tuple[int | None, str]:
    try:
        RunLock(path).take()
    except UsageError as error:
        return holder(path), str(error)
    return holder(path), ""


def test_another_process_is_refused_and_told_which_one_has_it(tmp_path, taken):
    process, told = asked_elsewhere(tmp_path)
    assert process == os.getpid()
    assert f"is in use: process {os.getpid()} is still running it" in told


def test_looking_at_it_in_the_same_process_does_not_let_go_of_it(tmp_path, taken):
    assert holder(tmp_path) == os.getpid()
    with pytest.raises(UsageError, match="is in use"):
        RunLock(tmp_path).take()
    assert asked_elsewhere(tmp_path)[0] == os.getpid()


def test_what_was_released_is_free_and_releasing_twice_does_no_harm(tmp_path, taken):
    taken.release()
    taken.release()
    assert holder(tmp_path) is None
    assert asked_elsewhere(tmp_path)[1] == ""
    taken.take()


def test_a_directory_that_was_never_locked_is_free(tmp_path):
    assert holder(tmp_path) is None
    assert holder(tmp_path / "none") is None


def test_a_file_system_without_locks_is_the_hosts_fault(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refuse)
    with pytest.raises(HostNotReady, match=r"cannot be locked \(No locks available"):
        RunLock(tmp_path).take()
    with pytest.raises(HostNotReady, match="cannot be written"):
        RunLock(tmp_path / "none").take()
