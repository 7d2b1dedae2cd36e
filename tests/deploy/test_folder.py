"""The folder of a build: all or nothing, and never in place of what somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitloom.deploy import folder as module
from bitloom.deploy.folder import check_replaceable, read_report, write_folder, write_report
from bitloom.errors import ExportError
from bitloom.report import REPORT_FORMAT


def files(**more: str) -> dict[str, str]:
    """A small build: a design and a report that says what there is."""
    contents = {"top.v": "module top; endmodule\n", **more}
    report = {
        "written_by": "bitloom 1.2",
        "format": REPORT_FORMAT,
        "files": [*contents, "report.json"],
        **{"top": "top", "target": {}, "macs": 1, "totals": {}, "resources": None},
    }
    return {**contents, "report.json": json.dumps(report)}


def everything_in(place: Path) -> dict[str, str]:
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_a_new_folder_and_the_folders_above_it_are_made(tmp_path):
    target = tmp_path / "a" / "b" / "design"
    paths = write_folder(target, files())
    assert [path.name for path in paths] == ["top.v", "report.json"]
    assert everything_in(tmp_path) == {f"a/b/design/{name}": text for name, text in files().items()}
    assert target.stat().st_mode & 0o555 == 0o555


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "design").mkdir()
    write_folder(tmp_path / "design", files())
    assert everything_in(tmp_path / "design") == files()


def test_an_earlier_build_is_replaced_whole_with_what_its_makefile_and_synthesis_left(tmp_path):
    target = tmp_path / "design"
    write_folder(target, files(**{"old.v": "old"}))
    (target / "obj_dir").mkdir()
    for name in ("top_tb.vvp", "synth-xc7.log", "obj_dir/Vtop"):
        (target / name).write_text("left behind")
    write_folder(target, files(**{"new.v": "new"}))
    assert everything_in(tmp_path) == {f"design/{name}": text for name, text in files(**{"new.v": "new"}).items()}


def test_a_link_to_an_earlier_build_stays_a_link(tmp_path):
    write_folder(tmp_path / "real", files())
    (tmp_path / "link").symlink_to("real")
    write_folder(tmp_path / "link", files(**{"new.v": "new"}))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "new.v").read_text() == "new"


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ({"thesis.tex": "years of work"}, r"bitloom did not write it \('thesis.tex' is in it\)"),
        ({"report.json": "{}"}, "bitloom did not write it"),
        ({"report.json": '{"written_by": "someone", "files": [], "format": 1}'}, "bitloom did not write it"),
        ({"report.json": "no json"}, "bitloom did not write it"),
        ({"report.json": "[1]"}, "bitloom did not write it"),
        ({**files(), "notes.txt": "mine"}, "holds 'notes.txt', which bitloom did not write; move it away"),
    ],
)
def test_what_somebody_else_wrote_is_left_alone(tmp_path, present, said):
    target = tmp_path / "design"
    target.mkdir()
    for name, text in present.items():
        (target / name).write_text(text)
    with pytest.raises(ExportError, match=said):
        write_folder(target, files())
    assert everything_in(tmp_path) == {f"design/{name}": text for name, text in present.items()}


def test_places_that_can_hold_no_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    for place in ("file", "file/below", "dangling"):
        with pytest.raises(ExportError, match="is a file, not a folder"):
            check_replaceable(tmp_path / place)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match="is the current folder"):
        check_replaceable(Path())
    with pytest.raises(ExportError, match="cannot be written"):
        check_replaceable(Path("/proc/design"))


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch, replacing, problem):
    target = tmp_path / "design" if replacing else tmp_path / "made" / "design"
    if replacing:
        write_folder(target, files())
    before = everything_in(tmp_path)
    write = Path.write_text

    def failing(self: Path, *arguments: object, **options: object) -> int:
        if self.name == "second.v":
            raise problem
        return write(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises((ExportError, KeyboardInterrupt)):
        write_folder(target, files(**{"second.v": "x"}))
    assert everything_in(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["design"] if replacing else [])


@pytest.mark.parametrize("failing_rename", [1, 2])
def test_the_earlier_build_returns_when_it_cannot_be_replaced(tmp_path, monkeypatch, failing_rename):
    target = tmp_path / "design"
    write_folder(target, files())
    rename, calls = Path.rename, 0

    def failing(self: Path, to: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing_rename:
            raise OSError(16, "Device or resource busy")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ExportError, match="Device or resource busy"):
        write_folder(target, files(**{"new.v": "new"}))
    assert everything_in(tmp_path) == {f"design/{name}": text for name, text in files().items()}


def test_reports_are_read_and_replaced(tmp_path):
    target = tmp_path / "design"
    write_folder(target, files())
    report = read_report(target)
    write_report(target, {**report, "resources": {"xc7": 1}})
    assert read_report(target) == {**report, "resources": {"xc7": 1}}
    assert sorted(path.name for path in target.iterdir()) == ["report.json", "top.v"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "was written by bitloom 1.2; build it again"),
        ({"top": "x; exec -- rm"}, "names no top module"),
        ({"top": 5}, "names no top module"),
        ({"written_by": None}, "has no report.json of bitloom"),
    ],
)
def test_a_report_that_is_of_no_use_is_refused(tmp_path, change, said):
    contents = files()
    contents["report.json"] = json.dumps({**json.loads(contents["report.json"]), **change})
    write_folder(tmp_path / "design", contents)
    with pytest.raises(ExportError, match=said):
        read_report(tmp_path / "design")


def test_a_report_that_lacks_something_is_refused(tmp_path):
    contents = files()
    report = json.loads(contents["report.json"])
    del report["totals"]
    write_folder(tmp_path / "design", {**contents, "report.json": json.dumps(report)})
    with pytest.raises(ExportError, match="lacks 'totals'; build it again"):
        read_report(tmp_path / "design")


def test_a_report_that_cannot_be_replaced(tmp_path, monkeypatch):
    write_folder(tmp_path / "design", files())
    monkeypatch.setattr(module.tempfile, "TemporaryDirectory", lambda **_: (_ for _ in ()).throw(OSError(13, "denied")))
    with pytest.raises(ExportError, match="denied"):
        write_report(tmp_path / "design", {})
