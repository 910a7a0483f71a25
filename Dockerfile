FROM rust:1.95-slim-bookworm AS build
# scripts/image replays this stage, with a profile that takes less time.
ARG PROFILE=release
WORKDIR /build
# The dependencies, in a layer that changes only with them. Empty sources stand for all that the
# manifest names.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/measure \
    && echo 'fn main() {}' | tee src/main.rs > benches/measure/main.rs && touch src/lib.rs \
    && cargo build --locked --profile "$PROFILE" --bin messages && rm -r src
COPY .cargo .cargo
COPY .sqlx .sqlx
COPY migrations migrations
COPY client/src client/src
COPY src src
# The empty sources above may be newer than the real ones.
RUN touch src/main.rs src/lib.rs && cargo build --locked --profile "$PROFILE" --bin messages

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* && useradd --system --uid 10001 messages
COPY --from=build /build/target/release/messages /usr/local/bin/messages
USER messages
ENV LISTEN_ADDR=0.0.0.0:8080 LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s \
    CMD ["curl", "-fsS", "-o", "/dev/null", "http://localhost:8080/health/ready"]
ENTRYPOINT ["messages"]
CMD ["serve"]
