# syntax=docker/dockerfile:1

FROM rust:1-slim-bookworm AS builder
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY entity entity
COPY migration migration
COPY config config
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin ownerrez-gateway \
    && cp target/release/ownerrez-gateway /usr/local/bin/

# No packages are installed: the TLS roots are built into the program, and `healthcheck` is a command of the program.
FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/ownerrez-gateway --create-home --shell /usr/sbin/nologin gateway \
    && install --directory --owner gateway --mode 0700 /var/lib/ownerrez-gateway/data
COPY --from=builder /usr/local/bin/ownerrez-gateway /usr/local/bin/ownerrez-gateway

USER gateway
WORKDIR /var/lib/ownerrez-gateway
# Used only by an SQLite database; with PostgreSQL it stays empty.
VOLUME /var/lib/ownerrez-gateway/data

# All network interfaces of the container; the host decides which of them are reachable from outside. Because this is
# not loopback, SERVER_URL and ENCRYPTION_KEY must be set.
ENV BIND=0.0.0.0
ENV PORT=8080
EXPOSE 8080
# Checks liveness, not readiness: a new container does not fix an unreachable database.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/ownerrez-gateway", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/ownerrez-gateway"]
