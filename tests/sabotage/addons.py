"""How to break an add-on: exactly one thing a row."""

from __future__ import annotations

from tests.sabotage.row import Sabotage

FILE = "test_addons.py"

# As a kubelet makes it by itself. Some time later nothing is told of this node any more.
SIGNED_BY_ITSELF = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=sabotage \\
    -keyout /var/lib/kubelet/pki/kubelet.key -out /var/lib/kubelet/pki/kubelet.crt
systemctl restart kubelet
sleep 90
"""

ROWS: tuple[Sabotage, ...] = (
    Sabotage(f"{FILE}::test_top_answers_for_every_node", node="w1", script=SIGNED_BY_ITSELF),
    # There is no address left to give.
    Sabotage(
        "test_services.py::test_a_load_balancer_gives_an_address_that_answers_the_host",
        kubectl=(("delete", "ipaddresspools", "--all", "--namespace=metallb-system"),),
    ),
    # What makes volumes hears of no claim any more.
    Sabotage(
        f"{FILE}::test_a_claim_gets_a_volume_whose_data_outlives_its_pod",
        kubectl=(("delete", "clusterrolebinding", "kubelab:storage"),),
    ),
)
