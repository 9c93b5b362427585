//! What looks like a secret by its name. Only files that git does not track are judged: what was committed is no secret of this machine.

/// Names, and beginnings and ends of names, of files that hold keys, tokens or passwords.
const NAMES: [&str; 14] = [
    ".env",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".htpasswd",
    ".dockercfg",
    ".git-credentials",
    "credentials",
    "credentials.json",
    "kaggle.json",
    "secrets.yaml",
    "secrets.json",
];
const BEGINNINGS: [&str; 6] = [".env.", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "service-account"];
const ENDS: [&str; 8] = [".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".tfstate"];
/// Folders that hold nothing else.
const FOLDERS: [&str; 6] = [".ssh", ".aws", ".gnupg", ".azure", ".kube", ".docker"];
/// Samples for people are no secrets.
const SAMPLES: [&str; 4] = [".example", ".sample", ".template", ".pub"];

/// Returns whether a file, by its path below the root of the code, looks like a secret.
pub(crate) fn is_likely(path: &[u8]) -> bool {
    let text = String::from_utf8_lossy(path).to_lowercase();
    let mut parts = text.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if parts.any(|folder| FOLDERS.contains(&folder)) {
        return true;
    }
    !SAMPLES.iter().any(|end| name.ends_with(end))
        && (NAMES.contains(&name)
            || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
            || ENDS.iter().any(|end| name.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_tokens_are_recognised_by_their_names() {
        for path in [".env", "a/.env.local", "deploy/ID_RSA", "x/server.pem", ".aws/config", "a/.ssh/known_hosts", "kaggle.json"] {
            assert!(is_likely(path.as_bytes()), "{path}");
        }
        for path in ["train.py", "environment.yml", ".env.example", "id_rsa.pub", "keys.py", "data/key", "a/b.txt"] {
            assert!(!is_likely(path.as_bytes()), "{path}");
        }
    }
}
