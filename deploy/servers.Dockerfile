# Broker and store of `make e2e-containers`: static programs that scripts/e2e.sh has built on the host and laid into the context, with the empty folders that they write to.
FROM scratch AS nats
COPY nats-server /usr/local/bin/nats-server
COPY --chown=10001:10001 data /data
USER 10001:10001
EXPOSE 4222
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/nats-server"]

FROM scratch AS minio
COPY minio /usr/local/bin/minio
COPY --chown=10001:10001 data /data
COPY --chown=10001:10001 tmp /tmp
ENV HOME=/tmp
USER 10001:10001
EXPOSE 9000
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/minio"]
CMD ["server", "/data", "--address", ":9000"]
