from pathlib import Path

from freehold.hardware.probes import cpu

GIB = 1 << 30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_cgroup_v2_limits_win_over_the_machine(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job/worker\n",
            "sys/fs/cgroup/job/worker/memory.max": "max\n",
            "sys/fs/cgroup/job/memory.max": f"{GIB // 2}\n",
            "sys/fs/cgroup/job/memory.current": f"{GIB // 4}\n",
            "sys/fs/cgroup/job/memory.stat": f"anon 5\ninactive_file {GIB // 8}\n",
            "sys/fs/cgroup/job/worker/cpu.max": "50000 100000\n",
        },
    )
    limit = cpu.memory_limit(root)
    assert limit.value == GIB // 2
    assert "job/memory.max" in limit.how
    assert cpu.memory_available(limit, root).value == GIB // 2 - GIB // 4 + GIB // 8
    assert cpu.cores(root).value == 1
    assert "quota" in cpu.cores(root).how or cpu.cores(root).how == "CPU affinity"


def test_cgroup_v1_limits_win_over_the_machine(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
            # the container sees its own group as the mount's root
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB // 4}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    limit = cpu.memory_limit(root)
    assert limit.value == GIB // 4
    assert cpu.memory_available(limit, root).value == GIB // 4 - 1000
    assert cpu.cores(root).how == "CPU affinity"


def test_no_limit_is_physical_memory(tmp_path):
    root = write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"})
    assert cpu.memory_limit(root).how == "physical memory"


def test_instruction_sets_and_name_come_from_cpuinfo(tmp_path):
    root = write(
        tmp_path,
        {"proc/cpuinfo": "model name\t: Some CPU\nflags\t\t: fpu avx avx2 avx512f amx_tile amx_int8\n"},
    )
    assert cpu.isa(root) == ("AVX", "AVX2", "AVX-512", "AMX", "AMX-INT8")
    assert cpu.name(root) == "Some CPU"
