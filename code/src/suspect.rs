//! What looks like a secret in a version of the code, before it goes to machines of others: files by their names, and keys of well-known forms in
//! their contents.

use crate::error::CodeError;
use crate::git::{git_found, output, paths};
use crate::secret;
use crate::store::is_version;
use crate::working::Source;

/// Keys whose form says what they are, each with the beginning by which it is told.
const KEYS: [(&str, &str, &str); 9] = [
    ("AKIA", "AKIA[0-9A-Z]{16}", "an AWS access key"),
    ("ASIA", "ASIA[0-9A-Z]{16}", "an AWS access key"),
    ("-----BEGIN", "-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----", "a private key"),
    ("gh", "gh[pousr]_[A-Za-z0-9]{36}", "a GitHub token"),
    ("github_pat_", "github_pat_[A-Za-z0-9_]{22}", "a GitHub token"),
    ("xox", "xox[abeoprs]-[A-Za-z0-9-]{10}", "a Slack token"),
    ("AIza", "AIza[0-9A-Za-z_-]{35}", "a Google API key"),
    ("hf_", "hf_[A-Za-z0-9]{34}", "a Hugging Face token"),
    ("sk-", "sk-(proj|ant)-[A-Za-z0-9_-]{24}", "an API key"),
];

/// Something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suspect {
    /// The file, for a person: bytes that are no text are escaped.
    pub path: String,
    /// The line, from 1; 0: the file itself, by its name.
    pub line: u64,
    /// What it looks like.
    pub what: &'static str,
}

impl std::fmt::Display for Suspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

impl Source {
    /// Returns what looks like a secret in a version that a look has seen, tracked by git or not: by file.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn suspects(&self, version: &str) -> Result<Vec<Suspect>, CodeError> {
        if !is_version(version) {
            return Err(CodeError::NoVersion(version.escape_debug().to_string()));
        }
        let mut found = self.by_name(version)?;
        found.extend(self.by_content(version)?);
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn by_name(&self, version: &str) -> Result<Vec<Suspect>, CodeError> {
        let listed = output(self.git().args(["ls-tree", "-r", "-z", "--name-only", version]))?;
        let suspect =
            |path: &[u8]| Suspect { path: path.escape_ascii().to_string(), line: 0, what: "a file of that name mostly holds a secret" };
        Ok(paths(&listed).filter(|path| secret::is_likely(path)).map(suspect).collect())
    }

    fn by_content(&self, version: &str) -> Result<Vec<Suspect>, CodeError> {
        let mut grep = self.git();
        grep.args(["grep", "-z", "-n", "-o", "-I", "--no-color", "--full-name", "-E"]);
        for (_, pattern, _) in KEYS {
            // Not in the middle of a longer word, as in the text of an encoded image.
            grep.arg("-e").arg(if pattern.starts_with('-') { pattern.to_owned() } else { format!("(^|[^A-Za-z0-9+/_]){pattern}") });
        }
        // `version:path NUL line NUL what was found`, a line each; paths may hold line ends, what was found does not.
        let listed = git_found(grep.arg(version))?;
        let mut fields = listed.split(|byte| *byte == 0);
        let mut found = Vec::new();
        let mut path = fields.next().unwrap_or_default();
        while let (Some(line), Some(rest)) = (fields.next(), fields.next()) {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let key = String::from_utf8_lossy(&rest[..end]);
            let what = KEYS.iter().find(|(beginning, _, _)| key.contains(beginning)).map_or("a key", |(_, _, what)| what);
            let name = path.strip_prefix(version.as_bytes()).and_then(|path| path.strip_prefix(b":")).unwrap_or(path);
            let line = String::from_utf8_lossy(line).parse().unwrap_or(1);
            found.push(Suspect { path: name.escape_ascii().to_string(), line, what });
            path = rest.get(end + 1..).unwrap_or_default();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use crate::Working;

    /// Keys are put together here, so that nobody takes this file for one that holds any.
    fn key(beginning: &str, rest: usize) -> String {
        format!("{beginning}{}", "A1B2C3D4E5".repeat(6).chars().take(rest).collect::<String>())
    }

    #[test]
    fn secrets_are_found_by_name_and_by_content_tracked_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        fs::create_dir_all(root.join("deploy\nhere")).unwrap();
        let git = |arguments: &[&str]| {
            assert!(Command::new("git").current_dir(&root).args(arguments).output().unwrap().status.success(), "{arguments:?}");
        };
        git(&["init", "--quiet"]);
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        write("train.py", "print('loss: 0.5')\n# ghp_short AKIAsmall xoxo AIza\n");
        write("tracked.pem", "x\n");
        git(&["add", "tracked.pem"]);
        // What git does not track is left out of the code, not judged.
        write(".env", "TOKEN=1\n");
        let mut working = Working::find(&root, &folder.path().join("runs")).unwrap();
        let suspects = |working: &mut Working| {
            let version = working.snapshot().unwrap().version;
            let found = working.source().suspects(&version).unwrap();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(suspects(&mut working), ["tracked.pem: a file of that name mostly holds a secret"]);
        git(&["rm", "--quiet", "--cached", "tracked.pem"]);
        assert_eq!(suspects(&mut working), [""; 0]);
        write("aws.py", &format!("a = 1\nkey = '{}'\n", key("AKIA", 16)));
        write("deploy\nhere/k y", &format!("-----BEGIN OPENSSH PRIVATE {}-----\n", "KEY"));
        write("git.sh", &format!("x {} y\n{}\n", key("ghp_", 36), key("github_pat_", 30)));
        write("slack.txt", &key("xoxb-", 20));
        write("google.json", &format!("{{\"key\": \"{}\"}}", key("AIza", 35)));
        write("hub.py", &format!("t=\"{}\"", key("hf_", 34)));
        // In the middle of something longer it is none.
        write("image.txt", &format!("AAAA{}", key("AKIA", 16)));
        assert_eq!(
            suspects(&mut working),
            [
                "aws.py:2: an AWS access key",
                "deploy\\nhere/k y:1: a private key",
                "git.sh:1: a GitHub token",
                "git.sh:2: a GitHub token",
                "google.json:1: a Google API key",
                "hub.py:1: a Hugging Face token",
                "slack.txt:1: a Slack token",
            ]
        );
    }
}
