# All images except `triton`. Build one from the root of the repository by its target and the extras that it needs:
#   docker build --target pose --build-arg EXTRAS=pose .
# `make images` builds them all; scripts/images.py lists their extras, and docs/images.md describes them.
# BASE needs Python 3.11 as python3, with its venv module and its shared library. debian:bookworm-slim works after
# python3-venv and libpython3.11 are installed.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG EXTRAS
WORKDIR /app
COPY pyproject.toml requirements.lock LICENSE ./
# requirements.lock pins every version, including those of build tools. The editable install only puts /app and
# /app/protos/gen on the path. It does not need the code, so a change of the code does not repeat the install.
RUN touch README.md \
    && python3 -m venv /opt/venv \
    && PIP_CONSTRAINT=/app/requirements.lock /opt/venv/bin/pip install --no-cache-dir \
        --editable ".[${EXTRAS:?pass --build-arg EXTRAS=, for example pose}]" \
    && /opt/venv/bin/pip uninstall --yes pip

# Of MediaPipe's wheel, the pose engine reads six networks. The wheel's code and what that depends on stay outside.
FROM ${BASE} AS networks
COPY requirements.lock ./
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-compile --no-deps --constraint requirements.lock \
        --target /wheel mediapipe \
    && cd /wheel/mediapipe/modules \
    && for file in \
        face_detection/face_detection_short_range.tflite \
        face_landmark/face_landmark.tflite \
        hand_landmark/hand_landmark_full.tflite \
        holistic_landmark/hand_recrop.tflite \
        pose_detection/pose_detection.tflite \
        pose_landmark/pose_landmark_full.tflite; \
    do install -D --mode=0644 "$file" "/networks/modules/$file" || exit 1; done \
    && install --mode=0644 /wheel/mediapipe-*.dist-info/LICENSE /networks/LICENSE

# The networks that the page's browsers read: the same, but for the face's.
FROM networks AS browser-networks
RUN cd /wheel/mediapipe/modules \
    && for file in \
        face_detection/face_detection_short_range.tflite \
        face_landmark/face_landmark_with_attention.tflite \
        hand_landmark/hand_landmark_full.tflite \
        hand_landmark/handedness.txt \
        holistic_landmark/hand_recrop.tflite \
        pose_detection/pose_detection.tflite \
        pose_landmark/pose_landmark_full.tflite; \
    do install -D --mode=0644 "$file" "/browser-networks/modules/$file" || exit 1; done \
    && install --mode=0644 /networks/LICENSE /browser-networks/LICENSE

FROM ${BASE} AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 dance \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin dance
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY LICENSE ./
COPY protos/gen ./protos/gen
COPY motion ./motion
COPY serving ./serving
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
HEALTHCHECK --start-period=120s --interval=10s --timeout=5s CMD ["python", "-m", "serving.rpc.health_probe", "127.0.0.1:9090"]

# Each image compiles its bytecode during the build, because its user cannot write to /app.
FROM runtime AS pose
COPY --from=networks /networks /opt/venv/lib/python3.11/site-packages/mediapipe
COPY services/__init__.py ./services/__init__.py
COPY services/pose ./services/pose
RUN python -m compileall -q /app
ENV POSE_HOST=0.0.0.0 \
    POSE_PORT=50052 \
    POSE_HEALTH_PORT=9090 \
    POSE_METRICS_PORT=9464 \
    POSE_LOG_FORMAT=json
LABEL org.opencontainers.image.title="Everybody Dance: pose" \
      org.opencontainers.image.description="The pose service: frames in, joints out."
USER 10001:10001
EXPOSE 50052 9090 9464
ENTRYPOINT ["python", "-m", "services.pose"]

FROM runtime AS normalize
COPY services/__init__.py ./services/__init__.py
COPY services/normalize ./services/normalize
RUN python -m compileall -q /app
ENV NORMALIZE_HOST=0.0.0.0 \
    NORMALIZE_PORT=50053 \
    NORMALIZE_HEALTH_PORT=9090 \
    NORMALIZE_METRICS_PORT=9464 \
    NORMALIZE_LOG_FORMAT=json
LABEL org.opencontainers.image.title="Everybody Dance: normalize" \
      org.opencontainers.image.description="The normalize service: joints in, joints in the actor's body and place out."
USER 10001:10001
EXPOSE 50053 9090 9464
ENTRYPOINT ["python", "-m", "services.normalize"]

FROM runtime AS face
COPY services/__init__.py ./services/__init__.py
COPY services/face ./services/face
RUN python -m compileall -q /app
ENV FACE_HOST=0.0.0.0 \
    FACE_PORT=50054 \
    FACE_HEALTH_PORT=9090 \
    FACE_METRICS_PORT=9464 \
    FACE_LOG_FORMAT=json \
    FACE_ACTORS_ROOT=/actors
LABEL org.opencontainers.image.title="Everybody Dance: face" \
      org.opencontainers.image.description="The face service: face crops in, better ones out."
USER 10001:10001
EXPOSE 50054 9090 9464
ENTRYPOINT ["python", "-m", "services.face"]

FROM runtime AS orchestrator
RUN install --directory --owner=dance --group=dance /actors /keys
COPY provenance ./provenance
COPY orchestrator ./orchestrator
# Copied into an empty volume of actors.
COPY samples/actors ./samples/actors
RUN python -m compileall -q /app
ENV ORCHESTRATOR_HOST=0.0.0.0 \
    ORCHESTRATOR_PORT=50050 \
    ORCHESTRATOR_HEALTH_PORT=9090 \
    ORCHESTRATOR_METRICS_PORT=9464 \
    ORCHESTRATOR_LOG_FORMAT=json \
    ORCHESTRATOR_ACTORS_ROOT=/actors
LABEL org.opencontainers.image.title="Everybody Dance: orchestrator" \
      org.opencontainers.image.description="The orchestrator: the pipeline of stages as one Transfer stream."
USER 10001:10001
EXPOSE 50050 9090 9464
ENTRYPOINT ["python", "-m", "orchestrator"]

FROM runtime AS generator
COPY services/__init__.py ./services/__init__.py
COPY services/generator ./services/generator
RUN python -m compileall -q /app
ENV GENERATOR_HOST=0.0.0.0 \
    GENERATOR_PORT=50055 \
    GENERATOR_HEALTH_PORT=9090 \
    GENERATOR_METRICS_PORT=9464 \
    GENERATOR_LOG_FORMAT=json \
    GENERATOR_ACTORS_ROOT=/actors
ENTRYPOINT ["python", "-m", "services.generator"]

FROM generator AS agent
RUN install --directory --owner=dance --group=dance /models
ENV GENERATOR_REPOSITORY_ROOT=/models \
    GENERATOR_TRITON_REPOSITORY_KEY_FILE=/run/repository-key/key \
    GENERATOR_TRITON_ADDRESS=127.0.0.1:8001
LABEL org.opencontainers.image.title="Everybody Dance: agent" \
      org.opencontainers.image.description="The generator's agent, for a Triton in another container."
USER 10001:10001
EXPOSE 50055 9090 9464

FROM generator AS triton-cpu
ENV GENERATOR_TRITON_GRPC_PORT=8001 \
    GENERATOR_TRITON_METRICS_PORT=8002
LABEL org.opencontainers.image.title="Everybody Dance: Triton on a CPU" \
      org.opencontainers.image.description="The generator's agent with a Triton from the nvidia-pytriton wheel, on a CPU."
USER 10001:10001
EXPOSE 50055 9090 9464 8001 8002

FROM runtime AS web
COPY --from=browser-networks /browser-networks /opt/venv/lib/python3.11/site-packages/mediapipe
RUN install --directory --owner=dance --group=dance /data
COPY provenance ./provenance
COPY video ./video
COPY client ./client
COPY services/__init__.py ./services/__init__.py
COPY services/pose ./services/pose
# To train on a cluster, and to read what the training's log says.
COPY training ./training
COPY deploy/jobs/train.yaml ./deploy/jobs/train.yaml
COPY web ./web
# The sample dances.
COPY samples/source_clip.mp4 ./samples/source_clip.mp4
COPY samples/dances ./samples/dances
RUN python -m compileall -q /app
ENV WEB_HOST=0.0.0.0 \
    WEB_PORT=8080 \
    WEB_HEALTH_PORT=9090 \
    WEB_METRICS_PORT=9464 \
    WEB_LOG_FORMAT=json \
    WEB_DATA_FOLDER=/data
LABEL org.opencontainers.image.title="Everybody Dance: web" \
      org.opencontainers.image.description="The page: dance in a browser. A gateway in front of an orchestrator."
USER 10001:10001
EXPOSE 8080 9090 9464
ENTRYPOINT ["python", "-m", "web"]

FROM runtime AS training
COPY --from=networks /networks /opt/venv/lib/python3.11/site-packages/mediapipe
RUN install --directory --owner=dance --group=dance /actors /footage /work
COPY provenance ./provenance
COPY video ./video
COPY services/__init__.py ./services/__init__.py
COPY services/pose ./services/pose
COPY services/generator ./services/generator
COPY services/face ./services/face
COPY training ./training
# Copied into an empty volume of actors.
COPY samples/actors ./samples/actors
RUN python -m compileall -q /app
LABEL org.opencontainers.image.title="Everybody Dance: training" \
      org.opencontainers.image.description="The training job: footage of a person in, a served actor out."
USER 10001:10001
EXPOSE 9464
# A job reports its result by its exit code.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "training"]
