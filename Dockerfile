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

# Nothing is installed: TLS roots are built into the program, and it asks itself for its health.
FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/ownerrez-gateway --create-home --shell /usr/sbin/nologin gateway \
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
# Whether the process lives, not whether it is ready: a database that is away is not mended by a new container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/ownerrez-gateway", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/ownerrez-gateway"]
