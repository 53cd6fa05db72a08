"""Upload of footage to the cluster's volume, through a pod in which real commands run."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.__main__ import run
from client.cluster.footage_upload import _TAKE, Upload
from client.cluster.job_template import read_template, upload_pod
from client.cluster.kubernetes_api import connected
from client.cluster.options import ClusterAccess, ClusterTraining
from client.errors import ClusterError
from tests.unit.client.cluster.containerd import Exec
from tests.unit.client.cluster.fake_cluster import NAMESPACE, FakeCluster, Served
from training.options import FootageRequest, TrainRequest

# More than all buffers of a connection and its pipes can hold.
SIZE_BYTES = 1_000_000
# Each closes an output that no other process keeps open.
ENDS_AN_OUTPUT = {
    "stdout, by exec": 'cd "$1" && exec head -c "$3" >> "./.$2.part"',
    "stdout, closed": 'cd "$1"; exec >&-; head -c "$3" | cat >> "./.$2.part"',
    "stderr, by exec": 'cd "$1" && exec 2> errors && head -c "$3" | cat >> "./.$2.part"; exit "$?"',
}


class Sender:
    """Uploads a file to the fake cluster, as `dance train` does."""

    def __init__(self, cluster: FakeCluster, served: Served, footage: Path) -> None:
        self.cluster, self.footage = cluster, footage
        self.said: list[str] = []
        self.counts: list[int] = []
        access = ClusterAccess(namespace=NAMESPACE, kubeconfig=served.kubeconfig)
        request = ClusterTraining(
            training=TrainRequest(footage=FootageRequest(files=[footage]), actor="me", consent="ours"), access=access
        )
        pod = upload_pod(read_template(), request, 60)
        self.upload = Upload(connected(access), pod, self.said.append, self.counts.append)

    def there(self) -> list[Path]:
        """Every file in the volume."""
        return sorted(path for path in self.cluster.volume.rglob("*") if path.is_file())

    def arrived(self, path: str) -> bool:
        """Whether the volume contains this footage there, and nothing else."""
        (found,) = self.there()
        return f"/footage/{found.relative_to(self.cluster.volume)}" == path and (
            found.read_bytes() == self.footage.read_bytes()
        )


@pytest.fixture
def sender(root: Path, tmp_path: Path, monkeypatch) -> Iterator[Sender]:
    from client.cluster.kubernetes_api import pause

    monkeypatch.setattr("client.cluster.kubernetes_api.pause", lambda seconds: pause(0.01))
    footage = tmp_path / "me dancing.mp4"
    footage.write_bytes(random.Random(7).randbytes(SIZE_BYTES))
    (tmp_path / "volume").mkdir()
    cluster = FakeCluster(root, tmp_path / "volume")
    with Served(cluster, tmp_path) as served:
        sender = Sender(cluster, served, footage)
        with sender.upload.cluster:
            yield sender
    assert not cluster.errors


def test_footage_arrives_whole_and_the_pod_goes(sender):
    """It is in a folder named after its content, and the upload pod is removed."""
    path = sender.upload.bring(sender.footage)
    assert path.endswith("/me_dancing.mp4")
    assert sender.arrived(path)
    assert sender.counts[-1] == SIZE_BYTES
    assert sender.counts == sorted(sender.counts)
    assert sender.cluster.pods == {}


def test_footage_that_is_there_is_not_sent_again(sender):
    """A second upload of the same content only checks that it is there."""
    path = sender.upload.bring(sender.footage)
    sender.counts.clear()
    assert sender.upload.bring(sender.footage) == path
    assert sender.counts == [SIZE_BYTES]


def test_a_lost_connection_goes_on_where_it_broke(sender):
    """After two broken connections, nothing that arrived is sent again."""
    sender.cluster.cut_commands_after_bytes += [100_000, 50_000]
    path = sender.upload.bring(sender.footage)
    assert sender.arrived(path)
    assert [line.split(":")[0] for line in sender.said] == ["reconnecting", "reconnecting"]
    takes = sender.cluster.calls["get pods/exec"]
    assert takes == 7  # three looks, three transfers, one check


def test_a_long_name_in_any_letters_arrives(sender):
    """The name is short enough even for the partial file, whose name is longer."""
    named = sender.footage.rename(sender.footage.with_name("舞" * 83 + ".mp4"))
    assert sender.upload.bring(named).endswith("_" * 83 + ".mp4")


def test_an_interrupted_upload_goes_on_with_the_next_command(sender):
    """What arrived before is kept, even for another process."""
    sender.cluster.cut_commands_after_bytes += [100_000]
    sender.upload.patience_seconds = 0
    with pytest.raises(ClusterError, match="The same command continues"):
        sender.upload.bring(sender.footage)
    (part,) = sender.there()
    assert part.name == ".me_dancing.mp4.part"
    assert part.stat().st_size >= 98_304
    sender.counts.clear()
    assert sender.arrived(sender.upload.bring(sender.footage))
    assert min(sender.counts) > 98_304


async def heard(script: str, folder: Path, sent: bytes) -> bytes:
    """The bytes that a command in a container has stored of those sent."""
    command = await Exec.of("sh", "-c", script, "sh", str(folder), "me.mp4", str(len(sent)))

    async def feed() -> None:
        for begun in range(0, len(sent), 2**15):
            await command.write(sent[begun : begun + 2**15])

    (out, err, code), _ = await asyncio.gather(command.result(), feed())
    assert (out, err, code) == (b"", b"", 0)
    return (folder / ".me.mp4.part").read_bytes()


async def test_the_command_that_takes_footage_hears_all_of_it(tmp_path):
    """It keeps its outputs open until the last byte has arrived."""
    sent = random.Random(8).randbytes(SIZE_BYTES)
    assert await heard(_TAKE, tmp_path, sent) == sent


@pytest.mark.parametrize("script", ENDS_AN_OUTPUT.values(), ids=ENDS_AN_OUTPUT)
async def test_a_command_whose_output_ends_is_not_heard_to_its_end(script, tmp_path):
    """The stand-in loses the same bytes as containerd, so that the test above can fail."""
    sent = random.Random(8).randbytes(SIZE_BYTES)
    assert len(await heard(script, tmp_path, sent)) < SIZE_BYTES


def test_footage_that_arrives_cut_off_is_told_with_numbers(sender, monkeypatch):
    """The number of bytes hints at the cause."""
    monkeypatch.setattr("client.cluster.footage_upload._TAKE", 'cd "$1"; head -c 1000 >> "./.$2.part"')
    with pytest.raises(ClusterError, match="its SHA-256 differs from what was sent; 1000 of 1000000 bytes arrived"):
        sender.upload.bring(sender.footage)


@pytest.mark.slow
def test_300_megabytes_arrive_though_the_connection_breaks_twice(sender):
    """Only bytes that were in flight are sent again. `-s` shows bytes and seconds."""
    piece = random.Random(9).randbytes(1_000_000)
    with sender.footage.open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(4) + piece[4:])
    sender.cluster.cut_commands_after_bytes += [100_000_000, 120_000_000]
    begun = time.monotonic()
    path = sender.upload.bring(sender.footage)
    seconds = time.monotonic() - begun
    print(f"{sender.cluster.sent_bytes} bytes were sent for 300000000 in {seconds:.1f} s, in three connections")
    assert sender.arrived(path)
    assert [line.split(":")[0] for line in sender.said] == ["reconnecting", "reconnecting"]
    assert 300_000_000 <= sender.cluster.sent_bytes < 301_000_000


def test_bytes_that_change_on_the_way_are_noticed(sender):
    """The hash of what arrived decides; damaged footage is sent again."""
    sender.cluster.spoil_next_file = True
    assert sender.arrived(sender.upload.bring(sender.footage))
    assert sender.said == ["me_dancing.mp4 arrived damaged; it is sent again"]


def test_a_full_volume_is_told_in_its_own_words(sender):
    """A command that fails is not retried."""
    folder = sender.cluster.volume / "uploads"
    folder.write_bytes(b"a file where the folder should be")
    with pytest.raises(ClusterError, match="the upload failed: mkdir: "):
        sender.upload.bring(sender.footage)
    assert sender.cluster.pods == {}


def test_a_pod_of_somebody_else_is_shared_and_left_alone(sender):
    """Only the client that created the pod removes it."""
    sender.upload.cluster.create_pod(sender.upload.pod)
    assert sender.arrived(sender.upload.bring(sender.footage))
    assert list(sender.cluster.pods) == ["footage-upload"]
    assert sender.cluster.calls["create pods"] == 1


def test_an_ended_pod_is_replaced(sender):
    """A pod that has outlived its time still blocks its name, and is replaced."""
    sender.cluster.pods["footage-upload"] = sender.upload.pod | {"status": {"phase": "Failed"}}
    assert sender.arrived(sender.upload.bring(sender.footage))


def test_uploading_needs_its_own_right(sender):
    """A user who may only train on existing footage cannot run commands in pods."""
    sender.cluster.rights.withdraw("footage-uploader")
    with pytest.raises(ClusterError, match='cannot get resource "pods"'):
        sender.upload.bring(sender.footage)


def test_commands_run_in_no_other_pod(sender):
    """The Role allows commands in this pod only."""
    from client.cluster.pod_exec import Command

    sender.cluster.pods["orchestrator-0"] = sender.upload.pod
    with pytest.raises(ClusterError, match='cannot get resource "pods/exec"'):
        Command(sender.upload.cluster, "orchestrator-0", ["env"])


def test_train_uploads_and_uses_no_more_rights_than_it_is_given(sender, make_video, root, monkeypatch, capsys):
    """Uploading, training, listing and cancelling use every right in the Roles, and no more."""

    async def trains(cluster: FakeCluster, job: str) -> None:
        about = {"kind": "Job", "name": job}
        cluster.events.append({"involvedObject": about, "reason": "FailedCreate", "message": "a while without pods"})
        await cluster.sees(lambda: cluster.calls["list events"] > 0)
        pod = await cluster.pod_of(job)
        await cluster.runs(pod)
        await cluster.ends(pod, 0)
        await cluster.finishes(job, "Complete")

    sender.cluster.scenario = trains
    video = make_video()
    access = ["--kubeconfig", str(sender.footage.parent / "kubeconfig")]
    assert run(["train", str(video), "--actor", "me", "--consent", "ours", "--on", "kubernetes", *access]) == 0
    (job,) = sender.cluster.jobs.values()
    path = job["spec"]["template"]["spec"]["containers"][0]["args"][-1]
    assert (sender.cluster.volume / Path(path).relative_to("/footage")).read_bytes() == video.read_bytes()
    assert run(["jobs", "list", *access]) == 0
    assert run(["jobs", "cancel", "me", *access]) == 0
    rights = sender.cluster.rights
    # Which of the two verbs a WebSocket needs depends on the cluster's version.
    assert rights.granted() - rights.used == {("create", "pods/exec")}


def test_ctrl_c_while_uploading_removes_the_pod(sender, make_video, monkeypatch, capsys):
    """No Job was started, and no pod is left running."""
    monkeypatch.setattr(Upload, "_send", lambda *given: os.kill(os.getpid(), signal.SIGINT))
    access = ["--kubeconfig", str(sender.footage.parent / "kubeconfig")]
    assert run(["train", str(make_video()), "--actor", "me", "--consent", "ours", "--on", "kubernetes", *access]) == 130
    assert "nothing was started; the same command continues the upload" in capsys.readouterr().err
    assert sender.cluster.pods == {}
    assert sender.cluster.jobs == {}
