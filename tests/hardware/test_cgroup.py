"""The control group's folders and its kills for memory, read from a tree like the kernel's."""

import pytest

from freehold.hardware import cgroup


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        # The group's own count, not the one of the group around it.
        (
            {
                "proc/self/cgroup": "0::/job/worker\n",
                "sys/fs/cgroup/job/worker/memory.events": "low 0\noom 4\noom_kill 3\n",
                "sys/fs/cgroup/memory.events": "oom_kill 9\n",
            },
            3,
        ),
        # A container sees its own group as the mount's root, whatever path of the host it is given.
        (
            {
                "proc/self/cgroup": "0::/docker/abc\n",
                "sys/fs/cgroup/memory.events": "oom_kill 2\noom_group_kill 0\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": "oom_kill 0\n"}, 0),
        # The root group of a host counts nothing, nor does a system without control groups.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": ""}, None),
        ({}, None),
    ],
)
def test_kills_for_memory_are_those_of_the_own_group(tmp_path, files, kills):
    assert cgroup.oom_kills(write(tmp_path, files)) == kills


@pytest.mark.parametrize(
    ("before", "now", "killed"),
    [(2, 3, True), (2, 2, False), (None, 1, False), (1, None, False), (None, None, False)],
)
def test_a_kill_is_one_that_was_counted_since(monkeypatch, before, now, killed):
    monkeypatch.setattr(cgroup, "oom_kills", lambda: now)
    assert cgroup.oom_killed_since(before) is killed


def test_folders_go_from_the_innermost_group_to_the_mount(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/a/b\n1:cpu,cpuacct:/a\n",
            "sys/fs/cgroup/memory/a/b/x": "",
            "sys/fs/cgroup/cpu/a/x": "",
        },
    )
    mount = root / "sys/fs/cgroup"
    assert cgroup.folders(root, "memory") == [mount / "memory/a/b", mount / "memory/a", mount / "memory"]
    assert cgroup.folders(root, "cpu") == [mount / "cpu/a", mount / "cpu"]
    assert cgroup.kernel_text(root / "none") == ""
