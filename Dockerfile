# The broker alone, without `demo` and `sandbox`, as a user without rights.
#
#   docker build -t box-token-broker .
#   docker run --rm -p 127.0.0.1:8080:8080 -v btb:/data --mount type=bind,src=$PWD/keys.json,dst=/keys.json,ro \
#     box-token-broker
#
# The key set has to belong to user 10001 with mode 0600 or 0400. The database lies in /data unless
# BTB_DATABASE__URL says otherwise. Commands run in the same image: docker run … box-token-broker migrate

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What the project depends on is built first, and again only when it changes.
COPY Cargo.toml Cargo.lock ./
COPY crates/box-sandbox/Cargo.toml crates/box-sandbox/
RUN mkdir -p src benches crates/box-sandbox/src && touch src/lib.rs crates/box-sandbox/src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs benches/bare.rs benches/bench_gate.rs >/dev/null \
    && cargo build --release --locked --no-default-features && rm -rf src
COPY migrations migrations
COPY clients/browser clients/browser
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --release --locked --no-default-features --bin box-token-broker

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home broker \
    && install -d -o broker -g broker -m 700 /data
COPY --from=build /src/target/release/box-token-broker /usr/local/bin/
USER broker
ENV BTB_HTTP__LISTEN=0.0.0.0:8080 \
    BTB_HTTP__OPERATIONS_LISTEN=0.0.0.0:9090 \
    BTB_DATABASE__URL=sqlite:/data/box-token-broker.db \
    BTB_KEYS__FILE=/keys.json \
    BTB_LOG__FORMAT=json
EXPOSE 8080 9090
VOLUME /data
ENTRYPOINT ["box-token-broker"]
CMD ["serve"]
