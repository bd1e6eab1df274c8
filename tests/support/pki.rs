//! A certificate authority for one control plane: serving certificates, client certificates, a signing key.
//!
//! All of them are valid for centuries (rcgen's default), so that no test of clocks fails for an expired
//! certificate that is not its subject.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority with its directory.
pub(crate) struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of one certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn create(directory: &Path, name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?;
        let authority = Self { directory: directory.to_owned(), issuer: Issuer::new(params, key) };
        write_private(&authority.certificate(), &certificate.pem())?;
        Ok(authority)
    }

    /// The PEM file of the authority's own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// A serving certificate for these DNS names and IP addresses.
    pub(crate) fn server(&self, file: &str, names: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name = distinguished_name(file, &[])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(file, params)
    }

    /// A client certificate; Kubernetes takes the common name as the user, organizations (two at most) as groups.
    pub(crate) fn client(&self, file: &str, user: &str, groups: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(user, groups)?;
        // rustls refuses certificates without any extension, as X.509 version 1.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(file, params)
    }

    fn issue(&self, file: &str, params: CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate =
            params.signed_by(&key, &self.issuer).with_context(|| format!("cannot sign the certificate {file}"))?;
        let identity = Identity {
            certificate: self.directory.join(format!("{file}.crt")),
            key: self.directory.join(format!("{file}.key")),
        };
        write_private(&identity.certificate, &certificate.pem())?;
        write_private(&identity.key, &key.serialize_pem())?;
        Ok(identity)
    }
}

/// A key pair without a certificate: what the API server signs service account tokens with, and checks them.
pub(crate) fn signing_key(private: &Path, public: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    write_private(private, &key.serialize_pem())?;
    write_private(public, &key.public_key_pem())
}

fn distinguished_name(common_name: &str, organizations: &[&str]) -> Result<DistinguishedName> {
    // rcgen keeps one value per type, but takes the same object identifier in its raw form as another type.
    let types = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    ensure!(
        organizations.len() <= types.len(),
        "{common_name}: a client certificate here has room for {} groups, not for {organizations:?}",
        types.len()
    );
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    for (kind, organization) in types.into_iter().zip(organizations) {
        name.push(kind, *organization);
    }
    Ok(name)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
