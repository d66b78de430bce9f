# nats-server, built from its Go module at the version that the stories of e2e/ run against: no registry has to be asked for it, and nothing but the server is in it.
# From the root of the repository:
#
#	docker build --file deploy/nats.Dockerfile --tag stipple-nats:dev .
ARG GO_IMAGE=golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d

FROM ${GO_IMAGE} AS build
ENV CGO_ENABLED=0
WORKDIR /src/e2e/servers
COPY e2e/servers/go.mod e2e/servers/go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	go build -trimpath -ldflags '-s -w -buildid=' -o /out/bin/nats-server github.com/nats-io/nats-server/v2
WORKDIR /src
COPY go.mod ./
COPY deploy/probe deploy/probe
RUN --mount=type=cache,target=/root/.cache/go-build \
	go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o /out/bin/probe ./deploy/probe \
	&& mkdir -p /out/data /out/run/nats

FROM scratch
LABEL org.opencontainers.image.title="nats-server for stipple" \
	org.opencontainers.image.source="https://github.com/nats-io/nats-server" \
	org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/bin/ /usr/local/bin/
# A volume mounted here for the first time takes its owner from these.
COPY --from=build --chown=10001:10001 /out/data /data
COPY --from=build --chown=10001:10001 /out/run/nats /run/nats
USER 10001:10001
VOLUME /data
EXPOSE 4222 6222 8222
HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --retries=6 CMD ["/usr/local/bin/probe", "http://127.0.0.1:8222/healthz?js-enabled-only=true"]
ENTRYPOINT ["/usr/local/bin/nats-server"]
CMD ["--config", "/etc/nats/nats.conf"]
