# MinIO, built from its Go module: its images are no longer published. MinIO is under the AGPL v3 and runs here
# unchanged, as a server of its own. Not built where this repository is checked (see Dockerfile); the same
# module, at the same pins, is built and run there by `make e2e-minio`.

FROM golang:1.26-trixie AS build
WORKDIR /src
COPY e2e/servers/minio/go.mod e2e/servers/minio/go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/minio github.com/minio/minio

FROM debian:13-slim
COPY --from=build /out/minio /usr/local/bin/minio
# A folder in the data folder is a bucket.
RUN mkdir -p /data/images && chown -R 10001:10001 /data
USER 10001:10001
VOLUME /data
EXPOSE 9000 9001
ENTRYPOINT ["minio", "server", "/data", "--address", ":9000", "--console-address", ":9001"]
