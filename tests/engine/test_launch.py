"""A lock that nobody holds is removed, with a word; one that a build holds is left alone."""

import os

from horsekit.engine.launch import remove_stale_lock


def test_a_lock_left_behind_by_a_killed_build_is_removed_and_named(tmp_path, capsys):
    lock = tmp_path / "lock"
    lock.touch()
    assert remove_stale_lock(lock)
    assert not lock.exists()
    assert str(lock) in capsys.readouterr().out


def test_a_lock_that_a_build_holds_stays(tmp_path, capsys):
    lock = tmp_path / "lock"
    held = os.open(lock, os.O_CREAT | os.O_EXCL)  # as torch.utils.file_baton does
    try:
        assert not remove_stale_lock(lock)
        assert lock.exists()
    finally:
        os.close(held)
    assert capsys.readouterr().out == ""


def test_without_a_lock_nothing_is_said(tmp_path, capsys):
    assert not remove_stale_lock(tmp_path / "lock")
    assert capsys.readouterr().out == ""
