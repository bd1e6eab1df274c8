//! Who a client of the control plane is: kubeconfig files for the administrator, users and service accounts.
//!
//! Users are client certificates; service accounts have real tokens. The files are JSON, which is YAML.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use super::control_plane::ControlPlane;

impl ControlPlane {
    /// The kubeconfig of an administrator (`system:masters`).
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig("admin")
    }

    /// A kubeconfig with a client certificate for this user in these groups (two at most).
    pub(crate) fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let name = format!("user-{}", user.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        self.write_kubeconfig(&name, user, groups)
    }

    /// A kubeconfig with a real token of this service account, valid for a day.
    ///
    /// # Errors
    /// When there is no such service account.
    pub(crate) async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [], "expirationSeconds": 86_400},
        });
        let answer: serde_json::Value = accounts
            .create_subresource("token", name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("cannot get a token for the service account {namespace}/{name}"))?;
        let token = answer.pointer("/status/token").and_then(|token| token.as_str());
        let token = token.with_context(|| format!("the answer for {namespace}/{name} has no status.token"))?;
        self.write_kubeconfig_of(&format!("service-account-{namespace}-{name}"), &json!({ "token": token }))
    }

    /// A new client of the administrator's.
    pub(crate) async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig()).await
    }

    pub(super) fn write_kubeconfig(&self, name: &str, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let identity = self.files.authority.client(name, user, groups)?;
        let credentials = json!({"client-certificate": identity.certificate, "client-key": identity.key});
        self.write_kubeconfig_of(name, &credentials)
    }

    fn write_kubeconfig_of(&self, name: &str, credentials: &serde_json::Value) -> Result<PathBuf> {
        let path = self.files.kubeconfig(name);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url(), "certificate-authority": self.ca()}}],
            "users": [{"name": name, "user": credentials}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        });
        std::fs::write(&path, serde_json::to_vec_pretty(&config)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A client with the credentials of this kubeconfig.
pub(crate) async fn client_of(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config_of(kubeconfig).await?)?)
}

pub(super) async fn config_of(kubeconfig: &Path) -> Result<Config> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    config.with_context(|| format!("cannot use {}", kubeconfig.display()))
}
