# The image of sidecars, injector and gateway.
#
#   docker build -t llm-sidecar:0.1.0 \
#     --build-arg BASE=docker.io/library/python:3.13-slim-bookworm@sha256:... .
#
# Give the base a digest: a tag means another image tomorrow. It must have Debian and Python 3.11 or
# later; `python:3-slim-*` has, and no compiler.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY locks/runtime.txt locks/redis.txt locks/build.txt locks/
# Only what is locked, by hash, and built by its authors: nothing is compiled here.
RUN python3 -m venv /opt/llm-sidecar \
 && /opt/llm-sidecar/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: \
      -r locks/runtime.txt -r locks/redis.txt -r locks/build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY sidecar sidecar
RUN /opt/llm-sidecar/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/llm-sidecar/bin/pip uninstall --yes -r locks/build.txt \
 && /opt/llm-sidecar/bin/pip check \
 && /opt/llm-sidecar/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="llm-sidecar" \
      org.opencontainers.image.description="A service-mesh sidecar proxy for LLM calls" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# nft writes redirect rules in a pod, as a user that is not root: it has the capability, and who
# runs it needs none. Where a container may not have NET_ADMIN, it gains nothing.
# hadolint ignore=DL3008 # the base's digest says which Debian; it keeps no older versions
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libcap2-bin nftables \
 && setcap cap_net_admin+ep /usr/sbin/nft \
 && apt-get purge --yes --auto-remove libcap2-bin \
 && rm -rf /var/lib/apt/lists/* /var/log/*
COPY --from=build /opt/llm-sidecar /opt/llm-sidecar
# Python's own images have no bytecode of the standard library, and the user below can write none.
# Compiling all that is imported would take as long again as the rest of each start.
RUN /opt/llm-sidecar/bin/python -c "import importlib, pkgutil, sidecar; \
 [importlib.import_module(m.name) for m in pkgutil.walk_packages(sidecar.__path__, 'sidecar.')]"
# Nothing is written to the root file system; `sidecar` is found by probes, too.
ENV PATH=/opt/llm-sidecar/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 1414:1414
EXPOSE 14001 14011
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["sidecar", "ready"]
ENTRYPOINT ["sidecar"]
CMD ["run"]
