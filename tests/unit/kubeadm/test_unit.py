from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import CommandFailed
from provision.kubeadm import unit
from provision.node import files
from provision.node.files import PRIVATE, File
from tests.fakes.node.sandbox import Sandbox

TEXT = "it's quoted: \" $HOME `id` \\n\n\ttabbed\n\nFILES\nSUMS\nÄ ü → 本\n"
INIT = ["kubeadm", "init", "--config=/etc/it's here.yaml"]
FILES = {
    "/etc/kubernetes/config.yaml": File(TEXT, PRIVATE),
    "/etc/hosts": File("127.0.0.1 localhost\n"),
    "/etc/empty": File(""),
}


@pytest.fixture
def node(tmp_path: Path) -> Sandbox:
    """A node on which nothing runs, with a kubeadm that ends well."""
    return Sandbox("lab-cp1", tmp_path)


def contents(node: Sandbox) -> dict[str, File]:
    found = {path: node.path(path) for path in FILES}
    return {path: File(file.read_text(), file.stat().st_mode & 0o777) for path, file in found.items()}


def test_files_arrive_as_they_are_with_their_modes(node: Sandbox) -> None:
    result = node.run(files.unpack_script(FILES))
    assert result.stderr == ""
    assert contents(node) == FILES


def test_a_file_replaces_a_link_and_not_what_it_points_at(node: Sandbox) -> None:
    # systemd-resolved makes /etc/resolv.conf such a link.
    node.write("/elsewhere", "kept")
    node.write("/etc/empty", "no longer")
    node.path("/etc/hosts").symlink_to(node.path("/elsewhere"))
    node.run(files.unpack_script(FILES))
    assert contents(node) == FILES
    assert not node.path("/etc/hosts").is_symlink()
    assert node.path("/elsewhere").read_text() == "kept"


def test_other_files_of_a_folder_stay(node: Sandbox) -> None:
    node.write("/etc/kubernetes/own", "kept")
    node.run(files.unpack_script(FILES))
    assert node.path("/etc/kubernetes/own").read_text() == "kept"


def test_the_order_of_the_files_does_not_matter() -> None:
    turned = dict(reversed(FILES.items()))
    assert files.unpack_script(FILES) == files.unpack_script(turned)
    assert files.same_files_script(FILES) == files.same_files_script(turned)


def test_the_same_files_are_known_again(node: Sandbox) -> None:
    node.run(files.unpack_script(FILES))
    node.run(files.same_files_script(FILES))


def test_no_files_differ_from_nothing(node: Sandbox) -> None:
    node.run(files.same_files_script({}))


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("damage", ["change", "remove"])
def test_one_other_file_is_enough_to_differ(node: Sandbox, path: str, damage: str) -> None:
    node.run(files.unpack_script(FILES))
    node.write(path, "x") if damage == "change" else node.path(path).unlink()
    assert not node.run(files.same_files_script(FILES), check=False).ok


def test_kubeadm_runs_once_as_a_unit_with_its_arguments_whole(node: Sandbox) -> None:
    node.kubeadm("echo working")
    result = node.run(unit.unit_script(INIT))
    started, called = node.calls
    assert started.startswith("systemd-run")
    assert unit.UNIT in started
    assert called == f"kubeadm init --config={node.path('/etc')}/it's here.yaml"
    assert (result.stdout, result.stderr) == ("working\n", "")


def test_what_kubeadm_says_is_for_root_alone(node: Sandbox) -> None:
    node.kubeadm("echo working; echo failing >&2")
    node.run(unit.unit_script(INIT))
    log = node.path(unit.LOG)
    assert log.read_text() == "working\nfailing\n"
    assert [file.stat().st_mode & 0o077 for file in (log, log.parent)] == [0, 0]


def test_a_failure_gives_kubeadms_exit_code_and_its_last_lines(node: Sandbox) -> None:
    node.kubeadm("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line-$i; done; exit 7")
    result = node.run(unit.unit_script(INIT), check=False)
    assert result.code == 7
    lines = result.stderr.split()
    assert lines[-1] == "line-1000"
    assert 100 <= len(lines) < 1000


def test_the_result_of_an_earlier_run_is_not_taken_for_this_ones(node: Sandbox) -> None:
    node.write(unit.CODE, "0\n")
    node.write(unit.LOG)
    node.program("systemd-run", "touch active")
    node.on_pause(f"rm active; echo 7 > {node.path(unit.CODE)}")
    assert node.run(unit.unit_script(INIT), check=False).code == 7


@pytest.mark.parametrize("code", [0, 3])
def test_a_unit_at_work_is_waited_for_and_not_started_again(node: Sandbox, code: int) -> None:
    node.write("/active")
    node.write(unit.LOG, "from the first run\n")
    end = f"echo {code} > {node.path(unit.CODE)}; rm active"
    node.path(unit.CODE).parent.mkdir(parents=True)
    node.on_pause(f"if [ $(wc -l < pauses) -eq 50 ]; then {end}; fi")
    result = node.run(unit.unit_script(INIT), check=False)
    assert result.code == code
    assert (node.pauses, node.calls) == (50, [])
    assert result.stderr == ("from the first run\n" if code else "")


def test_a_result_that_is_still_being_written_is_waited_for(node: Sandbox) -> None:
    node.write(unit.CODE)
    node.on_pause(f"echo 0 > {node.path(unit.CODE)}")
    assert node.run(unit.wait_for_unit()).stderr == ""


def test_a_unit_that_died_without_a_result_is_an_error(node: Sandbox) -> None:
    node.write("/active")
    node.on_pause("rm -f active")
    result = node.run(unit.unit_script(INIT), check=False)
    assert result.code != 0
    assert unit.UNIT in result.stderr
    assert node.calls == []


def kubeadm_init(node: Sandbox, *, reset: bool) -> None:
    unit.run_kubeadm(node, INIT, files=FILES, deadline=9, reset=reset)


def test_kubeadm_finds_its_files_and_no_reset_where_none_was_asked_for(node: Sandbox) -> None:
    kubeadm_init(node, reset=False)
    assert contents(node) == FILES
    assert node.verbs == ["init"]


def test_remnants_are_removed_before_the_files_are_written(node: Sandbox) -> None:
    # A reset that fails leaves the verdict to what comes after it.
    node.kubeadm('case "$1" in reset) rm -rf etc; exit 1;; esac')
    node.write("/etc/remnant")
    kubeadm_init(node, reset=True)
    assert contents(node) == FILES
    assert node.verbs == ["reset", "init"]


def test_a_unit_at_work_is_never_reset(node: Sandbox) -> None:
    node.write("/active")
    node.on_pause(f"echo 0 > {node.path(unit.CODE)}")
    kubeadm_init(node, reset=True)
    assert node.verbs == []


def test_a_failure_names_the_kubeadm_command(node: Sandbox) -> None:
    node.kubeadm("echo no room; exit 5")
    with pytest.raises(CommandFailed, match="lab-cp1: `kubeadm init` ended with exit code 5") as caught:
        kubeadm_init(node, reset=False)
    assert "no room" in caught.value.details


def test_a_secret_does_not_stand_in_a_script_as_text() -> None:
    assert "abcdef" not in files.unpack_script({"/run/token": File("abcdef.0123456789abcdef")})
