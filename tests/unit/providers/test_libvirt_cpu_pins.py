"""Which CPU of the host works on which machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provision.providers.libvirt.cpu_pins import cpu_of_each, host_cpus, resident_kib

SIZES = st.dictionaries(st.text(min_size=1), st.integers(0, 10**8), max_size=12)


def test_the_control_plane_has_a_cpu_for_itself() -> None:
    assert cpu_of_each({"w1": 1500, "cp1": 2800, "w2": 1500}, [0, 1]) == {"cp1": 0, "w1": 1, "w2": 1}


def test_machines_of_unknown_size_take_turns() -> None:
    assert cpu_of_each({"a": 0, "b": 0, "c": 0}, [2, 3]) == {"a": 2, "b": 3, "c": 2}


@given(sizes=SIZES, cpus=st.lists(st.integers(0, 300), min_size=1, max_size=8, unique=True))
def test_no_cpu_has_more_than_the_others_by_more_than_one_machine(
    sizes: dict[str, int], cpus: list[int]
) -> None:
    chosen = cpu_of_each(sizes, cpus)
    assert chosen.keys() == sizes.keys()
    loads = [sum(sizes[machine] for machine, cpu in chosen.items() if cpu == one) for one in cpus]
    assert max(loads) - min(loads) <= max(sizes.values(), default=0) + len(sizes)


def test_this_process_may_use_a_cpu() -> None:
    assert host_cpus()


def test_what_a_machine_takes_of_the_host() -> None:
    assert resident_kib("actual 3145728\nusable 2848552\nrss 4054384\n") == 4054384
    assert resident_kib("actual 3145728\n") == 0
    assert resident_kib("actual rss\nrss\n") == 0
    assert resident_kib("error: failed to get domain 'x'\nrss") == 0
