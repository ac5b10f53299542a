# The gateway (default), or the rendezvous: docker run … pilotgate rendezvous --store /var/lib/pilotgate/registry
# Built where compilers and development packages are, shipped without them. The base is named by its tag and not by a digest:
# a digest would have to be looked up and raised by hand, and would keep the security updates of the base out until then.
# To get the same bytes every time, build with --build-arg BASE=node@sha256:…
ARG BASE=node:24-slim
FROM ${BASE} AS build
WORKDIR /opt/pilotgate
# The lock file first: this layer changes only with the dependencies.
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
# lmdb is for `rendezvous --store`: npm installs it only on request, the image always has it.
RUN npm run build \
 && npm pkg set "dependencies.lmdb=$(npm pkg get devDependencies.lmdb | tr -d '"')" \
 && npm pkg delete devDependencies.lmdb \
 && npm prune --omit=dev

FROM ${BASE}
LABEL org.opencontainers.image.title="pilotgate" org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production \
    PILOTGATE_STATE_DIR=/var/lib/pilotgate
COPY --from=build /opt/pilotgate/node_modules /opt/pilotgate/node_modules
COPY --from=build /opt/pilotgate/dist /opt/pilotgate/dist
COPY package.json LICENSE README.md /opt/pilotgate/
COPY config /opt/pilotgate/config
# The program belongs to root and is not writable by the user that runs it; only the state is.
RUN ln -s /opt/pilotgate/dist/cli/main.js /usr/local/bin/pilotgate \
 && install -d -o node -g node -m 0700 /var/lib/pilotgate
# By number: Kubernetes cannot tell that a name is not root (runAsNonRoot). It is `node` in the base image.
USER 1000:1000
WORKDIR /var/lib/pilotgate
# The identity lives here: without a volume every new container is a new node.
VOLUME /var/lib/pilotgate
# Docker knows only 0 and 1. A container that runs the rendezvous has no gateway to ask: --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=12s --start-period=10s CMD pilotgate status --json > /dev/null || exit 1
# SIGTERM drains for up to 7 s, within the 10 s that `docker stop` waits.
STOPSIGNAL SIGTERM
ENTRYPOINT ["pilotgate"]
CMD ["up"]
