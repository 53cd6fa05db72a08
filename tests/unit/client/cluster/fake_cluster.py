"""A Kubernetes API server for tests, as strict as a real one about requests and permissions.

Bodies are validated against the published OpenAPI (unknown fields are refused) and by rules that the schema does not
hold; requests are allowed by the Roles in deploy/60-training-access.yaml alone. Commands in pods are real processes,
run as containerd runs them, with a folder in the place of the footage volume. What becomes of Jobs and pods is a
scenario: a coroutine that a test gives.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from aiohttp import WSMsgType, web

from tests.unit.client.cluster.containerd import Exec
from tests.unit.client.cluster.fake_rights import Refused, Rights

VERSION = "1.33"
NAMESPACE = "everybody-dance"
TOKEN = "submitter"
_KINDS = {"jobs": ("batch", "Job"), "pods": ("", "Pod"), "events": ("", "Event")}

Document = dict[str, Any]
Scenario = Callable[["FakeCluster", str], Awaitable[None]]


@dataclass
class FakeCluster:
    """Everything except the constructor's arguments is for scenarios, and runs on the server's loop.

    volume: the folder that commands in pods see as /footage. calls: how often each verb was asked of each resource.
    faults: answers for the next requests, in place of the true ones: a status, or None for a connection that breaks.
    lost_answers: of this many creations nothing is heard, though they are done. sent_bytes: to commands, in all.
    """

    root: Path
    volume: Path
    scenario: Scenario | None = None
    jobs: dict[str, Document] = field(default_factory=dict)
    pods: dict[str, Document] = field(default_factory=dict)
    events: list[Document] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[int | None] = field(default_factory=list)
    lost_answers: int = 0
    lost_logs: set[str] = field(default_factory=set)
    cut_commands_after_bytes: list[int] = field(default_factory=list)
    spoil_next_file: bool = False
    sent_bytes: int = 0
    readings: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rights = Rights(self.root, f"system:serviceaccount:{NAMESPACE}:training-submitter")
        self.changed = asyncio.Condition()
        self._clock = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: list[asyncio.Transport] = []

    # For scenarios

    async def pod_of(self, job: str, index: int = 0) -> str:
        """Create a pod as the Job controller does."""
        document = self.jobs[job]
        name = f"{job}-{index}-{len(self.pods)}"
        template = copy.deepcopy(document["spec"]["template"])
        labels = {"batch.kubernetes.io/job-name": job, "batch.kubernetes.io/job-completion-index": str(index)}
        template["metadata"]["labels"] |= labels
        template["metadata"] |= {"name": name, "namespace": NAMESPACE, "creationTimestamp": self._now()}
        await self.becomes(self.pods, name, template | {"status": {"phase": "Pending"}})
        self.logs[name] = []
        return name

    async def runs(self, pod: str) -> None:
        """Start the pod's container."""
        name = self.pods[pod]["spec"]["containers"][0]["name"]
        state = {"name": name, "state": {"running": {"startedAt": self._now()}}}
        conditions = [{"type": "PodScheduled", "status": "True"}]
        await self.is_(pod, {"phase": "Running", "conditions": conditions, "containerStatuses": [state]})

    async def says(self, pod: str, *lines: str, same_time: bool = False) -> None:
        """Add lines to the pod's log."""
        async with self.changed:
            for line in lines:
                self.logs[pod].append(f"{self._now(tick=not same_time)} {line}\n")
            self.changed.notify_all()

    async def ends(self, pod: str, code: int, reason: str = "", disrupted: str = "") -> None:
        """End the pod's container. disrupted: why the cluster removed it."""
        name = self.pods[pod]["spec"]["containers"][0]["name"]
        ended = {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "finishedAt": self._now(),
        }
        conditions = []
        if disrupted:
            conditions = [
                {"type": "DisruptionTarget", "status": "True", "reason": disrupted, "message": "node drained"}
            ]
        status = {"phase": "Failed" if code else "Succeeded", "conditions": conditions}
        await self.is_(pod, status | {"containerStatuses": [{"name": name, "state": {"terminated": ended}}]})

    async def is_(self, pod: str, status: Document) -> None:
        """Set the pod's status."""
        await self.becomes(self.pods, pod, self.pods[pod] | {"status": status})

    async def finishes(self, job: str, kind: str, reason: str = "", message: str = "") -> None:
        """Set the Job to Complete or Failed."""
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        await self.becomes(self.jobs, job, self.jobs[job] | {"status": {"conditions": [condition]}})

    async def becomes(self, where: dict[str, Document], name: str, document: Document | None) -> None:
        """Replace or remove an object."""
        async with self.changed:
            if document is None:
                where.pop(name, None)
            else:
                where[name] = document
            self.changed.notify_all()

    async def sees(self, what: Callable[[], bool]) -> None:
        """Wait until `what` is true."""
        async with self.changed:
            await self.changed.wait_for(what)

    async def read(self, pod: str, lines: int) -> None:
        """Wait until a client was sent this many lines in one request."""
        await self.sees(lambda: self.readings[pod] >= lines)

    async def cuts_logs(self) -> None:
        """Break every connection that reads a log."""
        async with self.changed:
            for transport in self._readers:
                transport.abort()
            self._readers.clear()
            self.readings.clear()
            self.changed.notify_all()

    # The API

    def application(self) -> web.Application:
        """The routes of the server."""
        app = web.Application(client_max_size=2**26)
        for group in ("/api/v1", "/apis/batch/v1"):
            app.router.add_route("*", group + "/namespaces/{namespace}/{resource}", self._answer)
            app.router.add_route("*", group + "/namespaces/{namespace}/{resource}/{name}", self._answer)
            app.router.add_route("*", group + "/namespaces/{namespace}/{resource}/{name}/{sub}", self._answer)
        app.on_cleanup.append(self._clean_up)
        return app

    async def _clean_up(self, app: web.Application) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        place = request.match_info
        resource, name, sub = place["resource"], place.get("name", ""), place.get("sub", "")
        verb = {"GET": "get" if name else "list", "POST": "create", "DELETE": "delete"}[request.method]
        what = f"{resource}/{sub}" if sub else resource
        async with self.changed:
            self.calls[f"{verb} {what}"] += 1
            self.changed.notify_all()
        if self.faults and (fault := self.faults.pop(0)) != 200:
            if fault is None:
                assert request.transport is not None
                request.transport.abort()
                raise ConnectionResetError
            return _status(Refused(fault, "ServiceUnavailable", "the server is overloaded"))
        try:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            self.rights.check(verb, _KINDS[resource][0], what, name, place["namespace"])
            if place["namespace"] != NAMESPACE:
                raise Refused(404, "NotFound", f'namespaces "{place["namespace"]}" not found')
            return await self._allowed(request, verb, resource, name, sub)
        except Refused as refused:
            return _status(refused)
        except ConnectionError:
            raise
        except Exception as error:
            self.errors.append(error)
            return _status(Refused(418, "Broken", repr(error)))

    async def _allowed(self, request: web.Request, verb: str, resource: str, name: str, sub: str) -> web.StreamResponse:
        where = {"jobs": self.jobs, "pods": self.pods}.get(resource, {})
        if verb == "list":
            return web.json_response({"kind": "List", "items": self._listed(resource, request.query)})
        if verb == "create" and not sub:
            return await self._create(request, resource, where)
        if name not in where:
            raise Refused(404, "NotFound", f'{resource}{".batch" if resource == "jobs" else ""} "{name}" not found')
        if sub == "log":
            return await self._log(request, name)
        if sub == "exec":
            return await self._exec(request)
        if verb == "delete":
            return await self._delete(resource, where, name)
        return web.json_response(where[name])

    def _listed(self, resource: str, query: Any) -> list[Document]:
        if resource == "events":
            wanted = dict(word.split("=") for word in query["fieldSelector"].split(","))
            return [e for e in self.events if e["involvedObject"]["name"] == wanted["involvedObject.name"]]
        wanted = dict(word.split("=") for word in query.get("labelSelector", "").split(",") if word)
        found = {"jobs": self.jobs, "pods": self.pods}[resource].values()
        return [one for one in found if wanted.items() <= one["metadata"].get("labels", {}).items()]

    async def _create(self, request: web.Request, resource: str, where: dict[str, Document]) -> web.StreamResponse:
        document = await request.json()
        assert request.query["fieldValidation"] == "Strict"
        _check(document, _KINDS[resource][1])
        name = document["metadata"]["name"]
        if name in where:
            going = "object is being deleted: " if "deletionTimestamp" in where[name]["metadata"] else ""
            raise Refused(409, "AlreadyExists", f'{going}{resource} "{name}" already exists')
        facts = {"uid": f"uid-{self.calls.total()}", "creationTimestamp": self._now()}
        document["metadata"] |= facts
        await self.becomes(where, name, document | {"status": {}})
        begins = self._pod_begins(name) if resource == "pods" else self._plays(name)
        task = asyncio.get_running_loop().create_task(begins)
        self._tasks.add(task)
        if self.lost_answers:
            self.lost_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(document, status=201)

    async def _plays(self, job: str) -> None:
        try:
            if self.scenario is not None:
                await self.scenario(self, job)
        except Exception as error:  # passed on to the test, which would otherwise wait forever
            self.errors.append(error)
            await self.finishes(job, "Failed", "ScenarioBroke", repr(error))

    async def _pod_begins(self, name: str) -> None:
        await self.runs(name)

    async def _delete(self, resource: str, where: dict[str, Document], name: str) -> web.StreamResponse:
        document = where[name]
        if resource == "pods" or "status" not in document or document["status"].get("conditions"):
            await self.becomes(where, name, None)
        else:  # in the foreground: it disappears when its pods have ended
            document["metadata"]["deletionTimestamp"] = self._now()
            await self.becomes(where, name, document)
        return web.json_response({"kind": "Status", "status": "Success"})

    async def _log(self, request: web.Request, pod: str) -> web.StreamResponse:
        query = request.query
        assert (query["follow"], query["timestamps"], query["container"]) == ("true", "true", "training")
        state = self._state(pod)
        if "running" not in state and "terminated" not in state:
            raise Refused(400, "BadRequest", f'container "training" in pod "{pod}" is waiting to start')
        if pod in self.lost_logs:
            raise Refused(500, "InternalError", "dial tcp 10.0.0.7:10250: connect: no route to host")
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        assert request.transport is not None
        self._readers.append(request.transport)
        sent = 0
        while True:
            lines = self.logs[pod][sent:]
            if lines:
                await response.write("".join(lines).encode())
                sent += len(lines)
                async with self.changed:
                    self.readings[pod] = sent
                    self.changed.notify_all()
                continue
            if pod not in self.pods or "terminated" in self._state(pod):
                break
            async with self.changed:
                if len(self.logs[pod]) == sent:
                    await self.changed.wait()
            if request.transport not in self._readers:
                raise ConnectionResetError
        self._readers.remove(request.transport)
        await response.write_eof()
        return response

    def _state(self, pod: str) -> Document:
        statuses = self.pods[pod]["status"].get("containerStatuses", [{}])
        return dict(statuses[0].get("state", {}))

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        command = [word.replace("/footage", str(self.volume)) for word in request.query.getall("command")]
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"))
        await socket.prepare(request)
        process = await Exec.of(*command)
        limit = self.cut_commands_after_bytes.pop(0) if "head" in command[2] and self.cut_commands_after_bytes else None

        async def feed() -> None:
            taken = 0
            try:
                async for message in socket:
                    assert message.type is WSMsgType.BINARY
                    assert message.data[0] == 0
                    piece = message.data[1:]
                    if self.spoil_next_file:
                        self.spoil_next_file, piece = False, bytes(len(piece))
                    await process.write(piece)
                    taken += len(piece)
                    self.sent_bytes += len(piece)
                    if limit is not None and taken >= limit:
                        process.end_input()
                        await process.ended()  # so that received bytes are written before a test looks
                        assert request.transport is not None
                        request.transport.abort()
                        break
            finally:
                process.end_input()

        feeding = asyncio.get_running_loop().create_task(feed())
        out, err, code = await process.result()
        if request.transport is not None and not request.transport.is_closing():
            for channel, data in ((1, out), (2, err), (3, json.dumps(_verdict(code)).encode())):
                if data:
                    await socket.send_bytes(bytes([channel]) + data)
            await socket.close()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        return socket

    def _now(self, *, tick: bool = True) -> str:
        self._clock += tick
        return f"2026-05-04T03:{self._clock // 60 % 60:02d}:{self._clock % 60:02d}.{self._clock:09d}Z"


class Served:
    """A FakeCluster on its own port, in a thread; a context manager. kubeconfig: a file that names it."""

    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self.cluster = cluster
        self.kubeconfig = folder / "kubeconfig"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Served:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(60)
        return self

    async def _serve(self) -> None:
        self._runner = web.AppRunner(self.cluster.application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        cluster = {"name": "fake", "cluster": {"server": f"http://{host}:{port}"}}
        user = {"name": "submitter", "user": {"token": TOKEN}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "submitter"}}
        named = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "fake"}
        self.kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **named}))

    def __exit__(self, *reason: object) -> None:
        assert self._runner is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _status(refused: Refused) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "reason": refused.reason, "message": refused.message}
    return web.json_response(body | {"code": refused.status}, status=refused.status)


def _verdict(code: int) -> Document:
    if code == 0:
        return {"status": "Success"}
    causes = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": causes}


def _check(document: Document, kind: str) -> None:
    """Raises Refused as a real server does: 400 for unknown fields, 422 for invalid values."""
    if document.get("kind") != kind:
        raise Refused(400, "BadRequest", f"{document.get('kind')} is no {kind}")
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise Refused(400, "BadRequest", f"strict decoding error: {error.message}") from error
    pod = document["spec"] if kind == "Pod" else document["spec"]["template"]["spec"]
    name = document["metadata"]["name"]
    wrong = []
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        wrong.append(f"metadata.name: {name!r} is no DNS label")
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        wrong += [f"volumeMounts: {one} is no volume" for one in mounted - volumes]
        wrong += [f"env: {one['name']} has no value" for one in container.get("env", []) if len(one) != 2]
        wrong += [] if {"requests", "limits"} <= container["resources"].keys() else ["resources"]
    if kind == "Job":
        wrong += _wrong_in_job(document["spec"], pod, name)
    wrong += _not_restricted(pod)
    if wrong:
        raise Refused(422, "Invalid", f'{kind} "{name}" is invalid: {"; ".join(wrong)}')


def _wrong_in_job(spec: Document, pod: Document, name: str) -> list[str]:
    containers = {container["name"] for container in pod["containers"]}
    wrong = [] if pod["restartPolicy"] == "Never" else ["restartPolicy: podFailurePolicy needs Never"]
    for rule in spec["podFailurePolicy"]["rules"]:
        if ("onExitCodes" in rule) == ("onPodConditions" in rule):
            wrong.append("podFailurePolicy: one of onExitCodes and onPodConditions")
        if rule.get("onExitCodes", {}).get("containerName", "training") not in containers:
            wrong.append("podFailurePolicy: containerName")
    if spec.get("completionMode") == "Indexed":
        wrong += [] if "completions" in spec and "parallelism" in spec else ["completions: Indexed needs it"]
        wrong += [] if len(f"{name}-{spec.get('completions')}") <= 63 else ["metadata.name: too long for Indexed"]
    return wrong


def _not_restricted(pod: Document) -> list[str]:
    """What the restricted profile of pod security refuses."""
    security = pod["securityContext"]
    wrong = [] if security["runAsNonRoot"] and security["seccompProfile"]["type"] == "RuntimeDefault" else ["pod"]
    for container in pod["containers"]:
        own = container["securityContext"]
        if own["allowPrivilegeEscalation"] or own["capabilities"] != {"drop": ["ALL"]}:
            wrong.append(container["name"])
    return [f"violates PodSecurity restricted: {one}" for one in wrong]
