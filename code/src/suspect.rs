//! Detects secrets in a code version before it goes to other machines: files by their names, and keys of well-known forms in
//! their contents.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::CodeError;
use crate::git::{output, paths};
use crate::left_out::kept_by_user;
use crate::scan::scan;
use crate::secret;
use crate::store::is_version;
use crate::working::Source;

/// Something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suspect {
    /// The file, for a person: bytes that are no text are escaped.
    pub path: String,
    /// The line, from 1; 0: the file itself, by its name.
    pub line: u64,
    /// The kind of secret.
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
        let kept = kept_by_user(self.root());
        let listed = output(self.git().args(["ls-tree", "-r", "-z", version]))?;
        let (mut found, mut contents) = (Vec::new(), Vec::new());
        // `mode type hash\tpath`
        for entry in paths(&listed) {
            let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else {
                continue;
            };
            let (head, path) = (&entry[..tab], &entry[tab + 1..]);
            if kept.contains(path) {
                continue;
            }
            let name = path.escape_ascii().to_string();
            if secret::is_likely(path) {
                found.push(Suspect {
                    path: name,
                    line: 0,
                    what: "a file of that name mostly holds a secret",
                });
            } else if let Some(object) = head
                .split(|byte| *byte == b' ')
                .nth(2)
                .filter(|_| head.starts_with(b"100"))
            {
                contents.push((name, object));
            }
        }
        let objects: BTreeSet<&[u8]> = contents.iter().map(|(_, object)| *object).collect();
        let scanned: BTreeMap<_, _> =
            scan(&|| self.git(), &objects.into_iter().collect::<Vec<_>>())?
                .into_iter()
                .collect();
        for (path, object) in contents {
            let lines = scanned.get(object).into_iter().flatten();
            found.extend(lines.map(|finding| Suspect {
                path: path.clone(),
                line: finding.range.start as u64,
                what: finding.what,
            }));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use crate::Working;

    /// Keys are put together here, so that this file is not taken for one that holds any.
    fn key(beginning: &str, rest: usize) -> String {
        format!(
            "{beginning}{}",
            "A1B2C3D4E5"
                .repeat(6)
                .chars()
                .take(rest)
                .collect::<String>()
        )
    }

    #[test]
    fn secrets_are_found_by_name_and_by_content_tracked_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        fs::create_dir_all(root.join("deploy\nhere")).unwrap();
        let git = |arguments: &[&str]| {
            assert!(
                Command::new("git")
                    .current_dir(&root)
                    .args(arguments)
                    .output()
                    .unwrap()
                    .status
                    .success(),
                "{arguments:?}"
            );
        };
        git(&["init", "--quiet"]);
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        write(
            "train.py",
            "print('loss: 0.5')\n# ghp_short AKIAsmall xoxo AIza\n",
        );
        write("tracked.pem", "x\n");
        git(&["add", "tracked.pem"]);
        // What git does not track is left out of the code, not judged.
        write(".env", "TOKEN=1\n");
        let mut working = Working::find(&root, &folder.path().join("runs"))
            .unwrap()
            .taking_secrets();
        let suspects = |working: &mut Working| {
            let version = working.snapshot().unwrap().version;
            let found = working.source().suspects(&version).unwrap();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            suspects(&mut working),
            ["tracked.pem: a file of that name mostly holds a secret"]
        );
        git(&["rm", "--quiet", "--cached", "tracked.pem"]);
        assert_eq!(suspects(&mut working), [""; 0]);
        write("aws.py", &format!("a = 1\nkey = '{}'\n", key("AKIA", 16)));
        write(
            "deploy\nhere/k y",
            &format!("-----BEGIN OPENSSH PRIVATE {}-----\n", "KEY"),
        );
        write(
            "git.sh",
            &format!("x {} y\n{}\n", key("ghp_", 36), key("github_pat_", 30)),
        );
        write("slack.txt", &key("xoxb-", 20));
        write(
            "google.json",
            &format!("{{\"key\": \"{}\"}}", key("AIza", 35)),
        );
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
