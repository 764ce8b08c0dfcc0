from __future__ import annotations

import datetime as dt
import json
import shlex
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.engine.steps import Together
from provision.errors import ConnectFailed, Result, StepFailed, WaitTimeout
from provision.kubeadm.documents import ca_hash
from provision.kubeadm.unit import CODE, KUBELET_CONF, TOKEN
from provision.steps.control_plane import FINALIZED, ControlPlaneStep
from provision.steps.join import CA, CONFIG, JoinStep
from tests.fakes.kubeadm import KUBEADM, certificate
from tests.fakes.node.sandbox import Sandbox
from tests.fakes.steps import Cluster, make_cluster

UP = [JoinStep.id]
STALE = "stale0.0123456789abcdef"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A control plane that is up and that the host reaches; two workers, empty."""
    made = make_cluster(tmp_path)
    control_plane(made, KUBELET_CONF, FINALIZED)
    made.api.reached()
    return made


def control_plane(cluster: Cluster, path: str, text: str = "") -> None:
    """Give the first node a certificate authority, the token of its init, and one more file."""
    cluster.first.write(CA, (cluster.first.root / "ca.crt").read_text())
    cluster.first.write(TOKEN, STALE)
    cluster.first.write(path, text)


def up(cluster: Cluster) -> list[str]:
    return cluster.lab.run(JoinStep())


def document(worker: Sandbox) -> dict[str, Any]:
    """Return what `kubeadm join` read."""
    found: dict[str, Any] = yaml.safe_load(worker.path(CONFIG).read_text())
    return found


def token(worker: Sandbox) -> str:
    return str(document(worker)["discovery"]["bootstrapToken"]["token"])


def join(cluster: Cluster, worker: Sandbox) -> None:
    """Leave what a join that ended well leaves."""
    worker.write(KUBELET_CONF, FINALIZED)
    cluster.api.set(f"nodes/{worker.node}")


def secret(cluster: Cluster) -> dict[str, Any]:
    """Return the last Secret that was applied."""
    (item,) = json.loads((cluster.api.root / "applied").read_text())["items"]
    return dict(item)


def test_what_kubeadm_said_is_for_the_run_log(cluster: Cluster) -> None:
    for name, node in cluster.nodes.items():
        done = KUBEADM.format(api=shlex.quote(str(cluster.api.root)), name=name)
        node.kubeadm(f"echo kubeadm at work on {name}\n{done}")
    up(cluster)
    said = {event["source"]: event["text"] for event in cluster.lab.report.of("said")}
    assert said == {
        f"{node.node}: kubeadm join": f"kubeadm at work on {node.node}\n" for node in cluster.workers()
    }


def test_workers_join_once(cluster: Cluster) -> None:
    assert up(cluster) == UP
    assert [worker.verbs for worker in cluster.workers()] == [["join"], ["join"]]
    assert up(cluster) == []
    assert [worker.verbs for worker in cluster.workers()] == [["join"], ["join"]]


def test_a_lab_without_workers_has_nothing_to_join(tmp_path: Path) -> None:
    cluster = make_cluster(tmp_path, workers={"count": 0})
    assert up(cluster) == []
    assert cluster.api.calls == []


def test_every_worker_joins_under_its_own_name_and_trusts_this_clusters_authority(cluster: Cluster) -> None:
    up(cluster)
    pin = ca_hash(cluster.first.get(CA))
    for worker in cluster.workers():
        found = document(worker)
        assert found["nodeRegistration"]["name"] == worker.node
        assert found["discovery"]["bootstrapToken"]["caCertHashes"] == [pin]
        assert worker.path(CONFIG).stat().st_mode & 0o777 == 0o600


def test_while_init_works_its_own_token_is_used_and_its_end_is_waited_for(tmp_path: Path) -> None:
    # The API server cannot be asked for another one yet, nor for the Node objects.
    cluster = make_cluster(tmp_path)
    control_plane(cluster, "/active")
    cluster.lab.ctx.fake_clock.on_sleep = cluster.api.reached
    assert up(cluster) == UP
    assert [token(worker) for worker in cluster.workers()] == [STALE, STALE]
    assert [worker.verbs for worker in cluster.workers()] == [["join"], ["join"]]


@pytest.mark.parametrize(
    ("path", "text"), [(TOKEN, f"{STALE}\n{STALE}"), (CA, "x\n-----END CERTIFICATE-----\n")]
)
def test_credentials_that_are_none_are_an_error_and_reach_no_worker(
    tmp_path: Path, path: str, text: str
) -> None:
    cluster = make_cluster(tmp_path)
    control_plane(cluster, "/active")
    cluster.first.write(path, text)
    with pytest.raises(StepFailed, match=f"lab-cp1: {path}") as caught:
        up(cluster)
    assert "kubelab destroy" in caught.value.hint
    assert [worker.calls for worker in cluster.workers()] == [[], []]


def test_afterwards_a_fresh_token_is_made_that_expires(cluster: Cluster) -> None:
    up(cluster)
    made = secret(cluster)
    data = made["stringData"]
    assert (made["type"], made["metadata"]["namespace"]) == ("bootstrap.kubernetes.io/token", "kube-system")
    assert made["metadata"]["name"] == f"bootstrap-token-{data['token-id']}"
    assert {token(worker) for worker in cluster.workers()} == {f"{data['token-id']}.{data['token-secret']}"}
    expires = dt.datetime.fromisoformat(data["expiration"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(0) < expires <= dt.timedelta(hours=24)


def test_the_token_of_an_init_that_ended_is_not_used_again(cluster: Cluster) -> None:
    # It may have expired; an API server that is slow to answer is waited for.
    (cluster.api.root / "ready").unlink()
    clock = cluster.lab.ctx.fake_clock
    clock.on_sleep = lambda: cluster.api.set("ready")
    assert up(cluster) == UP
    assert STALE not in [token(worker) for worker in cluster.workers()]


def test_a_slow_api_server_makes_no_worker_join_again(cluster: Cluster) -> None:
    for worker in cluster.workers():
        join(cluster, worker)
    (cluster.api.root / "ready").unlink()
    cluster.lab.ctx.fake_clock.on_sleep = lambda: cluster.api.set("ready")
    up(cluster)
    assert [worker.verbs for worker in cluster.workers()] == [[], []]
    assert cluster.api.nodes == {"lab-w1", "lab-w2"}


def test_tokens_never_show(cluster: Cluster) -> None:
    up(cluster)
    ident, _, rest = token(cluster.workers()[0]).partition(".")
    assert "join" in cluster.argvs()
    assert rest not in cluster.argvs()
    assert ident not in cluster.argvs()
    assert rest not in str(cluster.lab.report.events)


def test_the_node_of_a_machine_that_was_made_anew_is_deleted_first(cluster: Cluster) -> None:
    first, second = cluster.workers()
    join(cluster, first)
    cluster.api.set(f"nodes/{second.node}")
    assert up(cluster) == UP
    assert (first.verbs, second.verbs) == ([], ["join"])
    deleted = [call for call in cluster.api.calls if call.startswith("delete")]
    assert [call.split()[2] for call in deleted] == [second.node]


@pytest.mark.parametrize("remnant", [CA, KUBELET_CONF])
def test_what_an_unfinished_join_left_is_removed_first(cluster: Cluster, remnant: str) -> None:
    worker = cluster.workers()[0]
    worker.write(remnant, "from before")
    assert up(cluster) == UP
    assert worker.verbs == ["reset", "join"]


def test_a_worker_of_an_earlier_cluster_joins_this_one(cluster: Cluster) -> None:
    worker = cluster.workers()[0]
    worker.write(KUBELET_CONF, FINALIZED)
    assert up(cluster) == UP
    assert worker.verbs == ["reset", "join"]


def test_a_join_at_work_is_waited_for_and_keeps_its_node(cluster: Cluster) -> None:
    worker, other = cluster.workers()
    join(cluster, worker)
    worker.write("/active")
    worker.path(CODE).parent.mkdir(parents=True)
    worker.on_pause(f"rm active; echo 0 > {worker.path(CODE)}")
    assert up(cluster) == UP
    assert (worker.verbs, other.verbs) == ([], ["join"])
    assert worker.node in cluster.api.nodes


def test_a_worker_that_fails_does_not_stop_the_others_and_joins_next_time(cluster: Cluster) -> None:
    broken, other = cluster.workers()
    works = (broken.bin / "kubeadm").read_text()
    broken.kubeadm("mkdir -p etc/kubernetes/pki; touch etc/kubernetes/pki/ca.crt; echo no room; exit 1")
    with pytest.raises(StepFailed, match=r"lab-w1: `kubeadm join`") as caught:
        up(cluster)
    assert "no room" in caught.value.details
    (broken.bin / "kubeadm").write_text(works)
    assert up(cluster) == UP
    assert broken.verbs == ["join", "reset", "join"]
    assert other.verbs == ["join"]


CRI = """
if [ $1 = join ] && [ ! -e tried ]; then
    touch tried; {before}
    echo '[ERROR CRI]: could not connect to the container runtime: code = DeadlineExceeded'
    echo 'error: error execution phase preflight: preflight checks failed'; exit 1
fi
"""


def fail_once(worker: Sandbox, before: str = ":") -> None:
    """Let a worker's first join fail because its container runtime was slow."""
    works = (worker.bin / "kubeadm").read_text().partition("calls\n")[2]
    worker.kubeadm(CRI.format(before=before) + works)


def test_a_join_that_failed_in_passing_is_tried_again_at_once(cluster: Cluster) -> None:
    slow, other = cluster.workers()
    fail_once(slow)
    assert up(cluster) == UP
    assert (slow.verbs, other.verbs) == (["join", "join"], ["join"])
    (told,) = [event["text"] for event in cluster.lab.report.of("info")]
    assert told.startswith("lab-w1: kubeadm join is tried again: [ERROR CRI]: could not connect")
    assert cluster.lab.report.of("warn") == []


def test_what_a_failed_try_changed_is_removed_before_the_next(cluster: Cluster) -> None:
    slow = cluster.workers()[0]
    fail_once(
        slow, f"mkdir -p etc/kubernetes; touch {slow.path(KUBELET_CONF)} {cluster.api.root}/nodes/lab-w1"
    )
    assert up(cluster) == UP
    assert slow.verbs == ["join", "reset", "join"]
    assert [call for call in cluster.api.calls if call.startswith("delete node lab-w1")] != []


def test_a_new_try_trusts_a_control_plane_that_was_made_anew(cluster: Cluster) -> None:
    slow = cluster.workers()[0]
    (cluster.first.root / "new.crt").write_bytes(certificate())
    fail_once(slow, f"cp {cluster.first.root}/new.crt {cluster.first.path(CA)}")
    assert up(cluster) == UP
    (pin,) = document(slow)["discovery"]["bootstrapToken"]["caCertHashes"]
    assert pin == ca_hash((cluster.first.root / "new.crt").read_bytes())


def test_a_join_that_ended_well_though_nobody_heard_of_it_is_not_done_again(cluster: Cluster) -> None:
    worker = cluster.workers()[0]
    run = worker.run
    breaks = [ConnectFailed("lab-w1", "the SSH connection broke during `kubeadm join`: timed out")]

    def broken(command: str, **options: Any) -> Result:
        result = run(command, **options)
        if breaks and options.get("what") == "kubeadm join":
            raise breaks.pop()
        return result

    worker.run = broken  # type: ignore[method-assign, assignment]
    assert up(cluster) == UP
    assert (worker.verbs, breaks) == (["join"], [])


def test_a_worker_that_cannot_join_is_told_while_the_others_do(cluster: Cluster) -> None:
    broken, other = cluster.workers()
    broken.kubeadm("echo '[ERROR Port-10250]: Port 10250 is in use'; exit 1")
    told = threading.Event()
    # The other one does not end before the first is told of.
    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(text)
        told.set()

    cluster.lab.report.warn = warn  # type: ignore[method-assign]
    other.after = lambda script: None if "join" not in other.verbs else _waited(told)
    with pytest.raises(StepFailed):
        up(cluster)
    assert warnings == [
        "lab-w1: `kubeadm join` ended with exit code 1: [ERROR Port-10250]: Port 10250 is in use"
        " (lab-w2 goes on)"
    ]
    assert broken.verbs == ["join"]


def _waited(event: threading.Event) -> None:
    assert event.wait(10)


def test_a_token_the_api_server_was_too_slow_to_take_is_made_again(cluster: Cluster) -> None:
    kubectl = cluster.lab.ctx.kubectl.program
    works = kubectl.read_text()
    slow = "echo 'error: the server was unable to return a response in the time allotted' >&2; exit 1"
    kubectl.write_text(works.replace("apply*)", f"apply*) test -e slow || {{ touch slow; {slow}; }};"))
    assert up(cluster) == UP
    assert token(cluster.workers()[0]).startswith(secret(cluster)["stringData"]["token-id"])


def test_a_control_plane_that_never_comes_is_an_error(tmp_path: Path) -> None:
    cluster = make_cluster(tmp_path)
    cluster.lab.ctx.fake_clock.speed = 30
    with pytest.raises(StepFailed, match="certificate authority") as caught:
        up(cluster)
    assert isinstance(caught.value.cause, WaitTimeout)
    assert [worker.verbs for worker in cluster.workers()] == [[], []]


def test_the_authority_of_an_init_that_failed_is_not_believed(tmp_path: Path) -> None:
    cluster = make_cluster(tmp_path)
    control_plane(cluster, KUBELET_CONF, "not finalized")
    cluster.lab.ctx.fake_clock.speed = 30
    with pytest.raises(StepFailed):
        up(cluster)
    assert [worker.verbs for worker in cluster.workers()] == [[], []]


def test_init_and_joins_run_at_once(tmp_path: Path) -> None:
    cluster = make_cluster(tmp_path)
    initialised = threading.Event()
    cluster.first.after = lambda script: initialised.set() if "kubeadm" in cluster.first.verbs else None
    cluster.lab.ctx.fake_clock.on_sleep = lambda: initialised.wait(0.05)
    assert cluster.lab.run(Together(ControlPlaneStep(), JoinStep())) == ["control-plane", "join"]
    assert cluster.api.nodes == set(cluster.nodes)
    assert cluster.lab.run(Together(ControlPlaneStep(), JoinStep())) == []
