# syntax=docker/dockerfile:1

FROM rust:1-slim-bookworm AS builder
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY entity entity
COPY migration migration
COPY config config
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin ownerrez-gateway \
    && cp target/release/ownerrez-gateway /usr/local/bin/

FROM debian:bookworm-slim
# curl is for the health check; TLS roots are built into the program.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/ownerrez-gateway --create-home --shell /usr/sbin/nologin gateway \
    && install --directory --owner gateway --mode 0700 /var/lib/ownerrez-gateway/data
COPY --from=builder /usr/local/bin/ownerrez-gateway /usr/local/bin/ownerrez-gateway

USER gateway
WORKDIR /var/lib/ownerrez-gateway
# Only for an SQLite database; one on PostgreSQL leaves it empty.
VOLUME /var/lib/ownerrez-gateway/data

# All networks of the container; which of them lead outside is the host's decision. Since this is not loopback,
# SERVER_URL and ENCRYPTION_KEY must be given.
ENV BIND=0.0.0.0
ENV PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD curl --fail --silent --show-error --output /dev/null "http://127.0.0.1:${PORT}/health"
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/ownerrez-gateway"]
