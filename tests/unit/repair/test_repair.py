from __future__ import annotations

import base64
from pathlib import Path

import pytest

from provision.errors import Cancelled, Result, StepFailed
from provision.repair import certificates, serving
from provision.repair.cluster import repair
from provision.repair.credentials import CredentialStep
from provision.repair.survey import Survey
from provision.repair.tokens import TokenStep
from tests.fakes.cluster.objects import pod, stamp
from tests.fakes.node.credentials import CLIENT, NOW, PKI, SERVING, kubeconfig, node_name, request, token
from tests.fakes.repair import LEADERS, World, make_world

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def behind(world: World, seconds: float) -> None:
    """Let the whole cluster be that far in the past."""
    for machine in world.machines.values():
        machine.behind = seconds


def test_where_nothing_is_wrong_only_probes_are_paid(world: World) -> None:
    outcome = world.repair()
    assert outcome.changed == []
    assert world.done() == {}
    assert world.writes() == []
    assert world.lab.ctx.fake_clock.time == 0
    # The survey, then the clock.
    assert {len(runner.calls) for runner in world.lab.runners.values()} == {2}


def test_after_a_short_jump_clocks_are_set_and_nothing_is_restarted(world: World) -> None:
    behind(world, 10)
    assert world.repair().changed == ["clocks"]
    assert world.done() == {name: ["date -s"] for name in world.machines}
    assert world.writes() == []
    assert [abs(machine.behind) < 0.01 for machine in world.machines.values()] == [True] * 3
    # Survey, then set the clock and survey; the clock is read after each.
    assert {len(runner.calls) for runner in world.lab.runners.values()} == {4}


def test_steps_come_in_the_order_they_need_each_other(world: World) -> None:
    world.repair()
    started = [fields["id"] for kind, fields in world.lab.report.events if kind == "step_started"]
    assert started[:5] == ["clocks", "certificates", "services", "api", "network"]
    assert set(started[5:7]) == {"credentials", "heartbeats"}
    assert started[7:] == ["pod-tokens", "pods"]


@pytest.mark.parametrize("seconds", [-40.0, 1.5, 30 * HOUR, 400 * DAY])
def test_a_clock_that_is_off_is_set_in_either_direction(world: World, seconds: float) -> None:
    world.worker.behind = seconds
    world.repair()
    assert abs(world.worker.behind) < 0.01
    assert world.done() == {"lab-w1": ["date -s"]}


def test_a_hardware_clock_that_is_off_is_set_too(world: World) -> None:
    world.first.rtc_behind = world.first.behind = 400 * DAY
    world.worker.rtc_behind = None
    assert world.repair().changed == ["clocks"]
    # Else the keeper would set the clock back by the hardware clock, or forth once more, in between.
    assert world.done() == {
        "lab-cp1": ["systemctl stop lab-clock", "date -s", "/dev/rtc0", "systemctl start lab-clock"]
    }


def test_a_clock_that_cannot_be_set_is_an_error_that_names_the_node(world: World) -> None:
    world.worker.behind = 100
    world.worker.deaf.add("date -s")
    with pytest.raises(StepFailed, match=r"lab-w1 by \+100\.0 s"):
        world.repair()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("containerd", ["systemctl restart containerd"]),
        ("kubelet", ["systemctl restart kubelet"]),
        ("lab-clock", ["systemctl start lab-clock"]),
    ],
)
def test_a_service_that_is_dead_is_started_on_its_node_alone(
    world: World, unit: str, expected: list[str]
) -> None:
    world.worker.units[unit] = "failed"
    assert world.repair().changed == ["services"]
    assert world.done() == {"lab-w1": expected}


def test_a_kubelet_that_is_not_healthy_is_restarted(world: World) -> None:
    world.worker.healthy = False
    assert world.repair().changed == ["services"]
    assert world.done() == {"lab-w1": ["systemctl restart kubelet"]}


def test_a_box_without_a_clock_keeper_needs_none(world: World) -> None:
    for machine in world.machines.values():
        machine.keeper = False
        machine.units["lab-clock"] = "inactive"
    assert world.repair().changed == []


def test_a_kubeconfig_that_has_ended_is_fetched_again(world: World) -> None:
    file = world.lab.ctx.workspace.kubeconfig
    file.write_text(kubeconfig(-1))
    assert world.repair().changed == ["api"]
    assert "lab-admin" in file.read_text()


def test_an_api_server_that_stays_silent_has_its_control_plane_restarted(world: World) -> None:
    world.lab.kubectl.answer("get --raw /readyz", stderr="refused", code=1)

    def answer() -> None:
        if "pkill" in world.first.done:
            world.lab.kubectl.answer("get --raw /readyz", "ok")

    world.lab.ctx.fake_clock.on_sleep = answer
    world.repair()
    assert world.done() == {"lab-cp1": ["pkill", "systemctl restart kubelet"]}


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        ("systemctl restart kubelet", "lab-w1: the kubelet"),
        ("kubeadm certs renew all", "lab-cp1: /etc/kubernetes/pki/apiserver.crt"),
    ],
)
def test_what_cannot_be_mended_is_named_with_its_node(world: World, break_it: str, expected: str) -> None:
    for machine in world.machines.values():
        machine.deaf.add(break_it)
    if "kubeadm" in break_it:
        world.first.files[f"{PKI}/apiserver.crt"] = -1
    else:
        world.worker.healthy = False
    with pytest.raises(StepFailed, match=expected) as caught:
        world.repair()
    assert "kubelab ssh" in caught.value.hint


@pytest.mark.parametrize("said", ["9" * 5000, "soon", ""])
def test_a_node_that_talks_nonsense_is_an_error_that_names_it(world: World, said: str) -> None:
    world.lab.runners["lab-w1"].script[:] = [("", Result(f"== units\n{said}\n", "", 0))]
    with pytest.raises(StepFailed, match="lab-w1: what it says of its state is not understood") as caught:
        world.repair()
    assert "kubelab ssh lab-w1" in caught.value.hint


def test_an_interrupted_repair_says_how_to_go_on(world: World) -> None:
    world.lab.ctx.cancel.set()
    with pytest.raises(Cancelled) as caught:
        repair(world.lab.ctx, NOW)
    assert "snapshot restore" in caught.value.hint


def test_lost_routes_are_made_again_on_their_node(world: World) -> None:
    world.worker.routes = [f"lost {line}" for line in world.worker.routes]
    assert world.repair().changed == ["network"]
    assert world.done() == {"lab-w1": ["systemctl restart lab-network"]}


def test_without_kubelabs_own_cni_routes_are_not_ours(world: World, tmp_path: Path) -> None:
    other = make_world(tmp_path / "other")
    for machine in other.machines.values():
        machine.routes = []
        machine.tables = ["ip kube-proxy"]
    object.__setattr__(other.lab.ctx.cni, "name", "calico")
    assert other.repair().changed == []


def test_lost_service_rules_are_written_by_a_new_kube_proxy(world: World) -> None:
    world.worker.tables.remove("ip kube-proxy")
    world.later(1, lambda: world.worker.tables.append("ip kube-proxy"))
    assert world.repair().changed == ["network"]
    (write,) = world.writes()
    assert "k8s-app=kube-proxy" in write
    assert "spec.nodeName=lab-w1" in write


def test_in_another_mode_kube_proxy_sees_to_its_rules_itself(tmp_path: Path) -> None:
    other = make_world(tmp_path / "other", kubeProxy={"mode": "ipvs"})
    for machine in other.machines.values():
        machine.tables.remove("ip kube-proxy")
    assert other.repair().changed == []


def test_service_rules_that_do_not_come_are_an_error_that_names_the_node(world: World) -> None:
    world.worker.tables.remove("ip kube-proxy")
    with pytest.raises(StepFailed, match="lab-w1"):
        world.repair()


def test_a_heartbeat_older_than_the_repair_does_not_count(world: World) -> None:
    world.leases["lab-w1"] = -0.5
    world.show()
    world.later(4, world.beat)
    assert world.repair().changed == ["heartbeats"]
    assert world.lab.ctx.fake_clock.time == pytest.approx(4, abs=0.6)
    assert world.done() == {}


def test_a_node_must_be_ready_too(world: World) -> None:
    world.unready.add("lab-w2")
    world.show()
    world.later(2, world.unready.clear)
    assert world.repair().changed == ["heartbeats"]
    assert world.writes() == []


def test_a_kubelet_without_a_heartbeat_is_restarted_after_a_while(world: World) -> None:
    world.leases["lab-w1"] = -5
    world.show()

    def alive() -> None:
        if world.worker.done:
            world.beat()
            world.show()

    world.lab.ctx.fake_clock.on_sleep = alive
    world.repair()
    assert world.done() == {"lab-w1": ["systemctl restart kubelet"]}


def test_a_stale_leader_is_freed_and_then_restarted(world: World) -> None:
    world.leases |= dict.fromkeys(LEADERS, -400 * DAY)
    world.show()

    def alive() -> None:
        if world.first.done:
            world.beat()
            world.show()

    world.lab.ctx.fake_clock.on_sleep = alive
    world.repair()
    assert world.done() == {"lab-cp1": ["pkill"]}
    assert all(call.startswith("delete leases") for call in world.writes())
    assert len(world.writes()) == 2


def test_a_leader_that_is_only_as_slow_as_its_machine_is_not_restarted(world: World) -> None:
    # Its start takes longer than what is left of its lease.
    world.leases["kube-scheduler"] = -5
    world.first.milliseconds = 30
    world.show()
    world.later(20, world.beat)
    assert world.repair().changed == ["heartbeats"]
    assert world.done() == {}


def test_a_node_that_never_comes_is_named(world: World) -> None:
    world.leases["lab-w2"] = -5
    world.show()
    with pytest.raises(StepFailed, match="lab-w2") as caught:
        world.repair()
    assert "journalctl" in caught.value.hint


def test_expired_join_tokens_are_removed_and_others_kept(world: World) -> None:
    world.secrets = [
        f"bootstrap-token-oldone 2026-01-01T00:00:00Z {expiry('2026-01-01T02:00:00Z')}",
        f"bootstrap-token-newone 2027-01-15T07:00:00Z {expiry('2027-01-15T09:00:00Z')}",
        "bootstrap-token-eterne 2026-01-01T00:00:00Z",
        "kubeadm-certs 2026-01-01T00:00:00Z",
        "another 2020-01-01T00:00:00Z",
        f"bootstrap-token-nozone 2026-01-01T00:00:00Z {expiry('2026-01-01T02:00:00')}",
        "bootstrap-token-nobase 2026-01-01T00:00:00Z x",
        "kubeadm-certs soon",
    ]
    world.show()
    step, ctx = CredentialStep(Survey(NOW, world.wall)), world.lab.ctx
    assert not step.is_done(ctx)
    step.apply(ctx)
    (write,) = world.writes()
    assert write.startswith("delete secret --namespace=kube-system")
    assert write.split()[-3:] == ["--", "bootstrap-token-oldone", "kubeadm-certs"]
    world.secrets = world.secrets[1:3]
    world.show()
    assert step.is_done(ctx)


def expiry(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_thirteen_months_renew_everything_once(world: World) -> None:
    behind(world, 396 * DAY)
    for machine in world.machines.values():
        machine.files = {path: -30 if days == 200 else days for path, days in machine.files.items()}
    world.lab.ctx.workspace.kubeconfig.write_text(kubeconfig(-30))
    outcome = world.repair()
    assert outcome.changed == ["clocks", "certificates", "api"]
    worker = ["date -s", "openssl req", "mv -Tf", f"rm -f {SERVING}", "systemctl restart kubelet"]
    assert world.worker.done == worker
    assert world.machines["lab-w2"].done == worker
    assert world.first.done.count("kubeadm certs renew all") == 1
    assert world.first.done.index("openssl x509") < world.first.done.index("mv -Tf")
    assert world.first.done[-2:] == ["pkill", "systemctl restart kubelet"]
    assert world.repair().changed == []


def test_what_a_worker_says_beside_its_request_reaches_no_shell_of_the_control_plane(world: World) -> None:
    world.worker.files[CLIENT] = 0.5
    world.worker.request = f"{request(node_name('lab-w1'))}REQUEST\ntouch /root-was-here\n"
    assert world.repair().changed == ["certificates"]
    assert world.first.done == ["openssl x509"]
    assert not world.lab.runners["lab-cp1"].commands("root-was-here")


@pytest.mark.parametrize("said", ["", "REQUEST\ntouch /root-was-here\n", request(node_name("lab-cp1"))])
def test_a_request_that_is_not_the_workers_own_is_not_signed(world: World, said: str) -> None:
    world.worker.files[CLIENT] = 0.5
    world.worker.request = said or " "
    with pytest.raises(StepFailed, match="the certificate request of lab-w1 is not what was asked for"):
        world.repair()
    assert world.first.done == []


def test_a_certificate_for_somebody_else_is_not_installed(world: World) -> None:
    world.worker.files[CLIENT] = 0.5
    world.first.signs_for = "lab-w2"
    with pytest.raises(StepFailed, match="its certificate for lab-w1 is not what was asked for") as caught:
        world.repair()
    assert caught.value.message.startswith("lab-cp1: ")
    assert "mv -Tf" not in world.worker.done


@pytest.mark.parametrize("path", [CLIENT, SERVING])
def test_one_kubelets_certificate_touches_no_other_node(world: World, path: str) -> None:
    world.worker.files[path] = 0.5
    assert world.repair().changed == ["certificates"]
    assert "systemctl restart kubelet" in world.worker.done
    assert {"pkill", "systemctl restart kubelet", "kubeadm certs renew all"}.isdisjoint(world.first.done)
    assert world.machines["lab-w2"].done == []


@pytest.mark.parametrize("verified", [True, False])
def test_a_serving_certificate_that_an_addon_verifies_is_signed_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, verified: bool
) -> None:
    asked: list[str] = []

    def signed(ctx: object, names: list[str]) -> dict[str, str]:
        asked.extend(names)
        return dict.fromkeys(names, serving.INSTALL)

    monkeypatch.setattr(certificates, "are_wanted", lambda ctx: verified)
    monkeypatch.setattr(certificates, "signed_scripts", signed)
    world.worker.files[SERVING] = 0.5
    assert world.repair().changed == ["certificates"]
    assert asked == (["lab-w1"] if verified else [])
    assert "systemctl restart kubelet" in world.worker.done


def test_an_authority_that_has_ended_is_an_error_that_says_so(world: World) -> None:
    world.first.files |= {f"{PKI}/ca.crt": -1, f"{PKI}/apiserver.crt": -1}
    with pytest.raises(StepFailed, match="certificate authority") as caught:
        world.repair()
    assert "kubelab destroy" in caught.value.hint
    assert world.done() == {}


def test_dead_pod_tokens_are_waited_for_and_the_systems_pods_made_anew(world: World) -> None:
    world.pods = [pod("kube-proxy-1", namespace="kube-system", owner="DaemonSet"), pod("web-1")]
    world.worker.tokens = [token("uid-kube-proxy-1", -DAY), token("uid-web-1", -DAY, namespace="default")]
    world.show()
    step, ctx = TokenStep(Survey(NOW, world.wall)), world.lab.ctx
    assert not step.is_done(ctx)

    def refreshed() -> None:
        world.worker.tokens = [token("uid-kube-proxy-1", DAY), token("uid-web-1", DAY)]

    world.later(2, refreshed)
    step.apply(ctx)
    assert ctx.fake_clock.time == 2
    assert world.done() == {}
    (write,) = world.writes()
    assert write.endswith(" -- kube-proxy-1")
    # The one that saw the dead token is still there: its client may be blind for a minute more.
    assert not step.is_done(ctx)
    world.pods[0] = pod("kube-proxy-2", namespace="kube-system", owner="DaemonSet")
    world.show()
    assert step.is_done(ctx)


def test_tokens_of_pods_that_are_gone_do_not_matter(world: World) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    world.worker.tokens = [token("uid-gone", -DAY), "no token at all", deep]
    assert world.repair().changed == []


def test_a_kubelet_that_writes_no_tokens_is_restarted_then_named(world: World) -> None:
    world.pods = [pod("web-1")]
    world.worker.tokens = [token("uid-web-1", -DAY)]
    world.show()
    with pytest.raises(StepFailed, match="lab-w1"):
        world.repair()
    assert world.done() == {"lab-w1": ["systemctl restart kubelet"]}


def test_only_pods_that_hang_since_the_snapshot_are_waited_for(world: World) -> None:
    world.moment = NOW - 400 * DAY
    stuck = {"type": "Ready", "status": "False"}
    world.pods = [
        # So already an hour before the snapshot: part of it.
        pod("old", conditions=[{**stuck, "lastTransitionTime": stamp(-400 * DAY - HOUR)}]),
        # Since the jump.
        pod("new", conditions=[{**stuck, "lastTransitionTime": stamp(-400 * DAY - 5)}]),
    ]
    world.show()
    world.later(3, world.pods.pop)
    assert world.repair().changed == ["pods"]
    assert world.writes() == []


@pytest.mark.parametrize("text", ["", "\udcff", "kind: Config\nusers: [x]\n"])
def test_a_damaged_kubeconfig_is_fetched_again(world: World, text: str) -> None:
    file = world.lab.ctx.workspace.kubeconfig
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert "api" in world.repair().changed
    assert "server" in file.read_text()
