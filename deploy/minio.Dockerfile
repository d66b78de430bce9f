# MinIO, built from its Go module: its images are no longer published. MinIO is under the AGPL v3 and runs here unchanged, as a server of its own. The same module, at the
# same pins, is built and run by `make e2e-minio`. From the root of the repository:
#
#	docker build --file deploy/minio.Dockerfile --tag stipple-minio:dev .
ARG GO_IMAGE=golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d

FROM ${GO_IMAGE} AS build
ENV CGO_ENABLED=0
WORKDIR /src/e2e/servers/minio
COPY e2e/servers/minio/go.mod e2e/servers/minio/go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	go build -trimpath -ldflags '-s -w -buildid=' -o /out/bin/minio github.com/minio/minio
WORKDIR /src
COPY go.mod ./
COPY deploy/probe deploy/probe
# A folder in the data folder is a bucket.
RUN --mount=type=cache,target=/root/.cache/go-build \
	go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o /out/bin/probe ./deploy/probe \
	&& mkdir -p /out/data/images /out/tmp

FROM scratch
LABEL org.opencontainers.image.title="MinIO for stipple" \
	org.opencontainers.image.source="https://github.com/minio/minio" \
	org.opencontainers.image.licenses="AGPL-3.0-only"
COPY --from=build /out/bin/ /usr/local/bin/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# A volume mounted here for the first time takes its owner and the bucket from this.
COPY --from=build --chown=10001:10001 /out/data /data
COPY --from=build --chown=10001:10001 /out/tmp /tmp
ENV HOME=/tmp
USER 10001:10001
VOLUME /data
EXPOSE 9000 9001
HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --retries=6 CMD ["/usr/local/bin/probe", "http://127.0.0.1:9000/minio/health/ready"]
ENTRYPOINT ["/usr/local/bin/minio"]
CMD ["server", "/data", "--address", ":9000", "--console-address", ":9001"]
