# The image of whichpod: the echo service by default, the clients by other arguments.
#
#   docker build -t whichpod .
#   docker build -t whichpod --build-arg EXTRAS=k8s .      # with `whichpod k8s`, to run it in a cluster
#
# The base is named by tag. To pin it, give a digest that you have checked:
#   --build-arg PYTHON=python:3.13-slim-trixie@sha256:...
ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The environment has no pip of its own: nothing in the image needs one.
RUN python -m venv --without-pip /opt/whichpod
# What whichpod depends on changes seldom, so it is a layer that source code doesn't touch.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && pip --python /opt/whichpod/bin/python install -r requirements.txt
COPY README.md LICENSE ./
COPY src ./src
ARG EXTRAS=
# hadolint ignore=DL3013  # the versions are pyproject.toml's
RUN pip --python /opt/whichpod/bin/python install ".${EXTRAS:+[${EXTRAS}]}"

FROM ${PYTHON}
LABEL org.opencontainers.image.title="whichpod" \
      org.opencontainers.image.description="Which pod answered? How gRPC traffic is spread over replicas, and why." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/whichpod/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/whichpod /opt/whichpod
COPY deploy/healthcheck.py /opt/whichpod/healthcheck.py
# By number: a kubelet that is to see that it isn't root (runAsNonRoot) can't look up a name.
# Nothing is written, so the root file system may be read-only, and any other user id does as well.
USER 65532:65532
EXPOSE 50051
# For Docker and Podman. Kubernetes ignores it and has the probes of the manifests.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "/opt/whichpod/healthcheck.py"]
# Manifests say `args: [serve, ...]`; whatever is first here gets SIGTERM, and whichpod drains on it.
ENTRYPOINT ["whichpod"]
CMD ["serve"]
