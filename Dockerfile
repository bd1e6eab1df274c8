# The image of all parts: docker build -t ghcr.io/clockwarden/clockwarden:0.1.0 .
#
# Linked against the C library, not static: the clock calls go through it, so that libfaketime can reach them in the
# tests, and what is shipped is what is tested. Hence an image with glibc, and the same Debian to build on.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Cargo.toml names the benchmark, and Cargo wants to see it, though it is not built.
COPY benches benches
RUN cargo build --locked --profile dist --bin clockwarden

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/clockwarden /usr/local/bin/clockwarden
# By number, so that runAsNonRoot can be checked without a passwd file.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/clockwarden"]
