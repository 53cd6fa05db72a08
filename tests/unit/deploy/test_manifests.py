"""The manifests agree with each other and with the code, in deploy/ and in every overlay."""

from __future__ import annotations

import pytest

from orchestrator.settings import OrchestratorSettings
from services.generator.settings import GeneratorSettings
from serving.process import memory
from tests.unit.deploy import pod_rules, policy_rules, settings_rules, wiring_rules
from tests.unit.deploy.manifests import (
    OVERLAYS,
    ROOT,
    deployment,
    files_below_deploy,
    files_of_deploy,
    of_kind,
    overlays,
    pods,
    read,
)
from tests.unit.deploy.wiring_rules import NAMES
from tests.unit.images.dockerfiles import Dockerfile
from web.dances.clips import CHUNK_BYTES, PICTURE_BYTES
from web.settings import WebSettings

RULES = [
    pod_rules.restricted,
    pod_rules.accounts,
    pod_rules.bounded,
    pod_rules.images,
    pod_rules.only_triton_has_a_gpu,
    pod_rules.quantities,
    pod_rules.spread,
    wiring_rules.identities,
    wiring_rules.known_names,
    wiring_rules.monitors,
    wiring_rules.one_entry_each,
    wiring_rules.ports,
    wiring_rules.probes,
    wiring_rules.references,
    wiring_rules.replicas,
    wiring_rules.selectors,
    wiring_rules.volumes,
    wiring_rules.whole_lists,
    settings_rules.addresses,
    settings_rules.commands,
    settings_rules.files,
    settings_rules.graces,
    settings_rules.listening,
    settings_rules.room,
    settings_rules.triton,
    settings_rules.variables,
    policy_rules.edges,
    policy_rules.shut,
]


@pytest.mark.parametrize("name", ["deploy", *overlays()])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_deployment_satisfies_the_rule(rule, name: str):
    """Every deployment satisfies every rule; each rule returns its violations."""
    assert rule(deployment(name)) == []


@pytest.mark.parametrize("path", files_below_deploy(), ids=lambda path: path.name)
def test_separately_applied_files_satisfy_the_pod_rules(path):
    """Files that are applied separately satisfy the namespace's rules and have its namespace and labels."""
    for rule in (pod_rules.restricted, pod_rules.bounded, pod_rules.images, wiring_rules.identities):
        assert rule(read(path)) == []


def test_every_process_is_deployed():
    """The pipeline and its page have six Deployments, each with the process that its name suggests."""
    found = {(pod.name, settings_rules.module_of(c)) for pod in pods(deployment("deploy")) for c in pod.containers()}
    assert found >= {
        ("pose", "services.pose"),
        ("normalize", "services.normalize"),
        ("face", "services.face"),
        ("triton", "services.generator"),
        ("orchestrator", "orchestrator"),
        ("web", "web"),
    }


def test_the_order_is_right_for_a_first_apply():
    """The namespace comes first, and everything that a pod needs to start comes before the pod."""
    files = files_of_deploy()
    assert [path.name[:3] for path in files] == sorted(path.name[:3] for path in files)
    assert all(path.name[:2].isdigit() and path.name[2] == "-" for path in files)
    place: dict[tuple[str, str], int] = {}
    for number, document in enumerate(document for path in files for document in read(path)):
        place[document["kind"], document["metadata"]["name"]] = number
    assert min(place, key=lambda key: place[key]) == ("Namespace", "everybody-dance")
    for pod in pods(deployment("deploy")):
        own = place.get((pod.workload["kind"], pod.workload["metadata"]["name"]))
        if own is None:
            continue  # a job, applied separately
        needed = [("ServiceAccount", pod.spec["serviceAccountName"])]
        needed += [
            ("ConfigMap", source["configMapRef"]["name"])
            for container in pod.containers()
            for source in container.get("envFrom", [])
        ]
        needed += [
            ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
            for volume in pod.spec["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert [one for one in needed if place[one] > own] == [], pod.where


def test_triton_keeps_freed_pages_in_its_image_too():
    """The Triton image, which our own process does not start, sets the variables of `serving.process.memory`."""
    assert memory.IN_ENVIRONMENT.items() <= Dockerfile(ROOT, "triton").environment.items()


def test_gpu_and_cpu_differ_where_they_must():
    """Without a GPU, no pod requests one, and the CPU draws the actors."""
    for name, device in (("deploy", "gpu"), ("cpu-only", "cpu"), ("one-node-cpu", "cpu")):
        documents = deployment(name)
        drawn_on = {s.device for _, _, s in settings_rules.processes(documents) if isinstance(s, GeneratorSettings)}
        assert drawn_on == {device}, name
        (triton,) = [pod for pod in pods(documents) if pod.name == "triton"]
        asked = [r for c in triton.containers() for r in c["resources"]["limits"] if r.startswith("nvidia.com/")]
        assert bool(asked) is (device == "gpu"), name


def test_one_node_needs_no_shared_storage():
    """Its volumes only need to be mounted by one node, which every storage class supports."""
    for name in ("one-node", "one-node-cpu"):
        claims = of_kind(deployment(name), "PersistentVolumeClaim")
        assert {mode for claim in claims for mode in claim["spec"]["accessModes"]} == {"ReadWriteOnce"}
    shared = {
        d["metadata"]["name"]: d["spec"]["accessModes"]
        for d in of_kind(deployment("deploy"), "PersistentVolumeClaim")
        if d["metadata"]["name"] in ("actors", "footage")
    }
    assert shared == {"actors": ["ReadWriteMany"], "footage": ["ReadWriteMany"]}


def test_an_external_prometheus_replaces_ours():
    """Prometheus, Grafana and their resources are removed, but all pods are still scraped."""
    documents = deployment("external-prometheus")
    left = [d["metadata"]["name"] for d in documents if _name_of(d) in ("prometheus", "grafana")]
    assert left == []
    scraped = {monitor["metadata"]["name"] for monitor in of_kind(documents, "ServiceMonitor")}
    assert scraped == (NAMES - {"prometheus", "grafana"}) | {"agent"}


def test_tls_leaves_no_plaintext():
    """Every server has a certificate, every stage verifies its callers, and no setting allows plaintext.

    Clients and the page's visitors show tokens.
    """
    for _, _, settings in settings_rules.processes(deployment("tls")):
        assert settings.tls() is not None
        assert not settings.insecure
        if isinstance(settings, WebSettings):
            assert settings.access().tls is not None
            assert settings.sign_in
            continue
        if isinstance(settings, OrchestratorSettings):
            assert settings.stage_tls() is not None
            assert settings.tokens_file is not None
        else:
            assert settings.tls_client_ca is not None


def test_the_page_is_reached_over_https():
    """The Ingress checks the page's certificate, and lets the largest upload and a long session pass."""
    documents = deployment("tls")
    (ingress,) = of_kind(documents, "Ingress")
    noted = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    (certificate,) = [d["spec"] for d in of_kind(documents, "Certificate") if d["spec"]["secretName"] == "web-tls"]
    assert (noted["backend-protocol"], noted["proxy-ssl-verify"], noted["ssl-redirect"]) == ("HTTPS", "on", "true")
    assert noted["proxy-ssl-secret"] == f"everybody-dance/{certificate['secretName']}"
    assert noted["proxy-ssl-name"] in certificate["dnsNames"]
    assert int(noted["proxy-body-size"].removesuffix("m")) * 2**20 > max(CHUNK_BYTES, PICTURE_BYTES)
    assert noted["proxy-read-timeout"] == noted["proxy-send-timeout"]
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    (service,) = [d for d in of_kind(documents, "Service") if d["metadata"]["name"] == "web"]
    assert path["backend"]["service"] == {"name": "web", "port": {"name": service["spec"]["ports"][0]["name"]}}


def test_visitors_make_actors_only_where_that_is_wanted():
    """Everywhere else the page has no token for the API. The rights are those of people who submit trainings."""
    for name in ["deploy", *overlays()]:
        documents = deployment(name)
        makes = [s.makes_actors for _, _, s in settings_rules.processes(documents) if isinstance(s, WebSettings)]
        (page,) = [pod for pod in pods(documents) if pod.name == "web"]
        bound = [d["roleRef"]["name"] for d in of_kind(documents, "RoleBinding") if _is_for(d, "web")]
        wanted = name == "makes-actors"
        assert set(makes) == {wanted}, name
        assert page.spec["automountServiceAccountToken"] is wanted, name
        assert bound == (["training-submitter"] if wanted else []), name


def test_the_job_of_a_visitors_training_runs_the_deployed_image():
    """Its name in the settings follows a registry as those of the pods do, and its paths are those of the Job."""
    documents = deployment("makes-actors")
    (settings, *_) = [s for _, _, s in settings_rules.processes(documents) if isinstance(s, WebSettings)]
    (job,) = [pod for pod in pods(documents) if pod.where == "Job/train-me"]
    (training,) = job.containers()
    mounted = {mount["name"]: mount["mountPath"] for mount in training["volumeMounts"]}
    assert settings.making_image == training["image"]
    assert settings.making_namespace == job.workload["metadata"]["namespace"]
    assert str(settings.making_actors) == mounted["actors"]
    assert settings.makings_folder.is_relative_to(mounted["footage"])
    assert (
        f"WEB_MAKING_IMAGE: {training['image']}\n" in (OVERLAYS / "components/makes-actors/settings.yaml").read_text()
    )


def _is_for(binding, account: str) -> bool:
    return any(subject["name"] == account for subject in binding["subjects"])


def _name_of(document) -> str:
    return document["metadata"].get("labels", {}).get("app.kubernetes.io/name", "")
