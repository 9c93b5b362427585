//! Files whose names say that they hold keys, tokens or passwords.

/// Names, and beginnings and ends of names, of such files.
const NAMES: [&str; 92] = [
    ".bash_history",
    ".bitwarden.json",
    ".boto",
    ".comet.config",
    ".credentials",
    ".databrickscfg",
    ".dockercfg",
    ".dockerconfigjson",
    ".env",
    ".envrc",
    ".flaskenv",
    ".git-credentials",
    ".htpasswd",
    ".modal.toml",
    ".my.cnf",
    ".mysql_history",
    ".neptune_token",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".psql_history",
    ".pypirc",
    ".python_history",
    ".rclone.conf",
    ".s3cfg",
    ".secret",
    ".secrets",
    ".terraformrc",
    ".token",
    ".vault-token",
    ".vault_pass",
    ".vault_pass.txt",
    ".vault_password",
    ".yarnrc.yml",
    ".zsh_history",
    "_netrc",
    "access_key.csv",
    "access_tokens.db",
    "accesskeys.csv",
    "accesstokens.json",
    "apikey",
    "apikey.txt",
    "application_default_credentials.json",
    "auth.json",
    "azureprofile.json",
    "client_secret.json",
    "client_secrets.json",
    "cookies.sqlite",
    "cookies.txt",
    "credentials",
    "credentials.csv",
    "credentials.db",
    "credentials.json",
    "credentials.tfrc.json",
    "credentials.toml",
    "credentials.yaml",
    "credentials.yml",
    "gcloud.json",
    "googleservice-info.plist",
    "kaggle.json",
    "key4.db",
    "kubeconfig",
    "kubeconfig.yaml",
    "kubeconfig.yml",
    "local.settings.json",
    "logins.json",
    "ngrok.yml",
    "oauth_token.json",
    "passwd",
    "password.txt",
    "passwords.csv",
    "passwords.txt",
    "private_key",
    "rclone.conf",
    "rootkey.csv",
    "sa-key.json",
    "secret.json",
    "secret.yaml",
    "secret.yml",
    "secrets.env",
    "secrets.ini",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "shadow",
    "storage_state.json",
    "terraform.tfvars",
    "token.json",
    "token.pickle",
    "token.txt",
    "wp-config.php",
];
const BEGINNINGS: [&str; 14] = [
    ".env.",
    "client_secret_",
    "firebase-adminsdk",
    "gcp-key",
    "gcp_key",
    "gha-creds-",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "service-account",
    "service_account",
    "serviceaccount",
    "vault_pass",
];
const ENDS: [&str; 42] = [
    "-credentials.json",
    "-service-account.json",
    ".agekey",
    ".asc.key",
    ".cred",
    ".credentials",
    ".creds",
    ".env",
    ".jks",
    ".kdb",
    ".kdbx",
    ".key",
    ".keystore",
    ".kubeconfig",
    ".ovpn",
    ".p12",
    ".p8",
    ".pem",
    ".pfx",
    ".pkcs12",
    ".ppk",
    ".private_key",
    ".secret",
    ".tfstate",
    ".tfstate.backup",
    ".tfvars",
    ".token",
    "_credentials.json",
    "access_token.txt",
    "api-key.txt",
    "api_key",
    "api_key.txt",
    "auth_token.txt",
    "github_token.txt",
    "hf_token",
    "hf_token.txt",
    "vault-password",
    "vault-password.txt",
    "vault_pass",
    "vault_pass.txt",
    "vault_password",
    "vault_password.txt",
];
/// Folders that hold nothing else.
const FOLDERS: [&str; 11] = [
    ".aws",
    ".azure",
    ".config/gcloud",
    ".docker",
    ".gcloud",
    ".gnupg",
    ".kube",
    ".oci",
    ".password-store",
    ".secrets",
    ".ssh",
];
/// Files that are secrets in a folder of a certain name alone.
const PLACES: [&str; 20] = [
    ".cache/huggingface/token",
    ".cargo/credentials",
    ".config/gh/hosts.yml",
    ".config/rclone/rclone.conf",
    ".dbt/profiles.yml",
    ".dvc/config.local",
    ".huggingface/token",
    ".lambda_cloud/lambda_keys",
    ".m2/settings.xml",
    ".mc/config.json",
    ".netlify/config.json",
    ".ngc/config",
    ".pip/pip.conf",
    ".runpod/config.toml",
    ".snowsql/config",
    ".vast_api_key",
    ".streamlit/secrets.toml",
    ".wandb/settings",
    ".wandb/token",
    "huggingface/token",
];
/// Samples for people are no secrets.
const SAMPLES: [&str; 6] = [".dist", ".example", ".pub", ".sample", ".template", ".tmpl"];
/// Words in the name of a sample, before its extension.
const SAMPLE_WORDS: [&str; 3] = [".example.", ".sample.", ".template."];

/// Returns whether a file, by its path below the root of the code, looks like a secret.
pub(crate) fn is_likely(path: &[u8]) -> bool {
    let text = format!("/{}", String::from_utf8_lossy(path).to_lowercase());
    let name = text.rsplit('/').next().unwrap_or_default();
    if FOLDERS
        .iter()
        .any(|folder| text.contains(&format!("/{folder}/")))
    {
        return true;
    }
    if SAMPLES.iter().any(|end| name.ends_with(end))
        || SAMPLE_WORDS.iter().any(|word| name.contains(word))
    {
        return false;
    }
    NAMES.contains(&name)
        || PLACES
            .iter()
            .any(|place| text.ends_with(&format!("/{place}")))
        || BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning) && !is_program(name))
        || ENDS.iter().any(|end| name.ends_with(end))
        || (name.contains("firebase-adminsdk") && name.ends_with(".json"))
        || (text.contains("/secrets/") && !is_program(name))
}

/// `service_account.py` is a program that has to do with secrets, not one of them.
fn is_program(name: &str) -> bool {
    [
        ".py", ".rs", ".go", ".js", ".ts", ".sh", ".md", ".rst", ".java", ".c", ".cc", ".cpp",
        ".h", ".jl", ".r", ".ipynb",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_tokens_are_recognised_by_their_names() {
        let secrets = "
            .env a/.env.local .envrc deploy/ID_RSA id_ed25519 x/server.pem tls.key store.p12 x.pfx a.jks b.keystore c.kdbx .aws/config a/.ssh/known_hosts
            kaggle.json .huggingface/token .cache/huggingface/token .config/gcloud/application_default_credentials.json
            service-account.json service_account.json my-service-account.json gcp-key.json secrets.yml secrets.yaml secrets.json secrets.toml
            .streamlit/secrets.toml terraform.tfvars prod.auto.tfvars terraform.tfstate .vault_pass .vault-token kubeconfig prod.kubeconfig
            .kube/config .docker/config.json .netrc _netrc .npmrc .pypirc .pgpass .htpasswd .git-credentials credentials credentials.json
            client_secret.json client_secret_1234.apps.googleusercontent.com.json .boto .s3cfg rclone.conf key.ppk AuthKey_ABC.p8 prod.env
            .my.cnf auth.json .dockercfg .token my.secret hf_token.txt openai_api_key.txt passwords.txt credentials.csv rootkey.csv token.json
            .databrickscfg .snowsql/config .terraformrc .pip/pip.conf .dvc/config.local x-firebase-adminsdk-abc.json .bash_history huggingface/token
            secrets/db.txt deploy/secrets/a prod.tfvars token.txt apikey oauth_token.json .rclone.conf .secrets cookies.txt .ansible_vault_pass
            vault-password.txt sa-key.json GoogleService-Info.plist .ngc/config .mc/config.json .runpod/config.toml .dbt/profiles.yml
        ";
        for path in secrets.split_whitespace() {
            assert!(is_likely(path.as_bytes()), "{path}");
        }
        let others = "
            train.py environment.yml .env.example .env.sample id_rsa.pub keys.py data/key a/b.txt tokenizer.json token service_account.py
            secrets/__init__.py src/secrets/vault.py tokens.txt tokenizer/vocab.json eos_token.txt history.py
            config.json terraform.tf terraform.tfvars.example secrets.py settings secrets.example.toml .streamlit/config.toml
        ";
        for path in others.split_whitespace() {
            assert!(!is_likely(path.as_bytes()), "{path}");
        }
    }
}
