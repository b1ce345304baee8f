from __future__ import annotations

import time
from pathlib import Path

import pytest

from otklik.serving import keys
from otklik.serving.keys import Holder, Keys, KeysError
from otklik.serving.settings import Settings, usable_cores


def test_a_key_is_kept_as_its_hash_and_found_by_itself(tmp_path: Path) -> None:
    key = keys.new_key()
    file = tmp_path / "keys"
    file.write_text(f"# CRM\n\n{keys.line('crm', 'client', key)}\n", encoding="utf-8")
    assert key not in file.read_text(encoding="utf-8")
    known = Keys(file)
    assert known.holder(key) == Holder("crm", "client")
    assert [known.holder(wrong) for wrong in (None, "", key[:-1], key + "a")] == [None] * 4


def test_without_keys_anybody_is_a_client() -> None:
    holder = Keys(None).holder(None)
    assert holder
    assert holder.role == "client"


def test_keys_are_rotated_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_LOOK_AGAIN", 0.0)
    old, new = keys.new_key(), keys.new_key()
    file = tmp_path / "keys"
    file.write_text(keys.line("crm", "client", old), encoding="utf-8")
    known = Keys(file)
    assert known.holder(old)
    file.write_text(keys.line("crm", "client", new) + "\n", encoding="utf-8")
    time.sleep(0.01)
    assert (known.holder(old), known.holder(new)) == (None, Holder("crm", "client"))
    file.unlink()
    assert known.holder(new)  # a file that has gone locks nobody out


def test_a_bad_file_is_told_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"crm client 12\n{keys.line('crm', 'client', 'x')}\ncrm root {'0' * 64}\n", encoding="utf-8")
    with pytest.raises(KeysError, match=r"keys:1: .*\n.*keys:3: "):
        Keys(file)
    with pytest.raises(KeysError, match="cannot be read"):
        Keys(tmp_path / "none")
    with pytest.raises(KeysError, match="a name has"):
        keys.line("two words", "client", "x")


@pytest.mark.parametrize(
    ("host", "given", "exposed"),
    [
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
        ("::1", {}, False),
        ("0.0.0.0", {}, True),
        ("service.local", {}, True),
        ("0.0.0.0", {"allow_anonymous": True}, False),
        ("0.0.0.0", {"keys": "crm client " + "0" * 64}, False),
    ],
)
def test_who_can_be_reached_without_a_key(host: str, given: dict[str, object], exposed: bool) -> None:
    assert Settings(host=host, **given).exposed is exposed


def test_a_container_s_quota_limits_the_threads(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    everything = usable_cores(tmp_path / "none")
    for content, cores in (("max 100000", everything), ("100000 100000", 1), ("50000 100000", 1), ("odd", everything)):
        quota.write_text(content, encoding="ascii")
        assert usable_cores(quota) == cores
