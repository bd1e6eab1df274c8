//! The files that are built in. A test compares this list with the folder.

macro_rules! products {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!($name, ".toml")))),*]
    };
}

/// Name and text of every product's file.
#[rustfmt::skip]
pub const PRODUCTS: &[(&str, &str)] = products![
    "airflow",
    "ambassador",
    "apisix",
    "aspnet",
    "bank-vaults",
    "camunda",
    "cerbos",
    "consul",
    "django",
    "elasticsearch",
    "envoy",
    "flask",
    "gravitino",
    "hasura",
    "higress",
    "jaeger",
    "jenkins",
    "kafka",
    "keycloak",
    "kong",
    "krakend",
    "kubernetes",
    "lexik",
    "light-4j",
    "linkerd",
    "mod-auth-openidc",
    "nginx-gateway-fabric",
    "node-jwt",
    "node-saml",
    "nomad",
    "opensearch",
    "provider-vault",
    "pulsar",
    "quarkus",
    "redpanda",
    "rocketchat",
    "spring",
    "topaz",
    "trino",
    "tyk",
    "vault",
    "vault-config-operator",
];

/// The generic convention.
pub const GENERIC: &str = include_str!("generic.toml");
