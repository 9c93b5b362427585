//! Data in buckets: listed by the provider's program, and identified by the versions of the
//! objects.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How long a listing may take.
const LISTING_TIME_MAX: Duration = Duration::from_secs(60);

/// The objects below an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// Over the names, versions and sizes of all objects.
    pub(super) digest: String,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// An object: name, version, bytes.
type Object = (String, String, u64);

/// Lists what is below `s3://bucket/prefix` or `gs://bucket/prefix`.
///
/// # Errors
/// It cannot be listed: why, in words.
pub(super) fn listed(address: &str) -> Result<Listing, String> {
    let objects = match address.split_once("://") {
        Some(("s3", rest)) => in_s3(rest)?,
        Some(("gs", _)) => in_gs(address)?,
        _ => return Err(format!("`{address}` is neither a path nor s3:// nor gs://")),
    };
    Ok(listing(objects))
}

fn listing(mut objects: Vec<Object>) -> Listing {
    objects.sort();
    let mut hash = Sha256::new();
    for (name, version, bytes) in &objects {
        for text in [name, version] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update(bytes.to_le_bytes());
    }
    let bytes = objects.iter().map(|(_, _, bytes)| bytes).sum();
    Listing {
        digest: hex::encode(hash.finalize()),
        objects: objects.len() as u64,
        bytes,
    }
}

fn in_s3(rest: &str) -> Result<Vec<Object>, String> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let query = "Contents[].[Key,ETag,Size]";
    // An option and its value in one word: neither can be taken for another option.
    let (bucket, prefix) = (format!("--bucket={bucket}"), format!("--prefix={prefix}"));
    let answer = output(
        "aws",
        &[
            "s3api",
            "list-objects-v2",
            &bucket,
            &prefix,
            "--query",
            query,
            "--output",
            "json",
        ],
    )?;
    let entries = entries("aws", &answer)?;
    let object = |entry: &Value| {
        Some((
            entry[0].as_str()?.to_owned(),
            entry[1].as_str()?.to_owned(),
            entry[2].as_u64()?,
        ))
    };
    Ok(entries.iter().filter_map(object).collect())
}

fn in_gs(address: &str) -> Result<Vec<Object>, String> {
    let pattern = format!("{address}**");
    let answer = match output("gcloud", &["storage", "ls", "--json", &pattern]) {
        Ok(answer) => answer,
        Err(reason) => {
            return output("gsutil", &["ls", "-l", &pattern])
                .map(|answer| lines(&answer))
                .map_err(|_| reason);
        }
    };
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .or_else(|| value.as_u64().map(|number| number.to_string()))
    };
    let object = |entry: &Value| {
        let about = &entry["metadata"];
        Some((
            text(&about["name"])?,
            text(&about["generation"])?,
            text(&about["size"])?.parse().ok()?,
        ))
    };
    Ok(entries("gcloud", &answer)?
        .iter()
        .filter_map(object)
        .collect())
}

/// `bytes  time  gs://bucket/name`: the time is that at which this version was made.
fn lines(answer: &[u8]) -> Vec<Object> {
    let text = String::from_utf8_lossy(answer);
    let object = |line: &str| {
        let (bytes, rest) = line.trim().split_once(' ')?;
        let (made, name) = rest.trim().split_once(' ')?;
        Some((
            name.trim().strip_prefix("gs://")?.to_owned(),
            made.to_owned(),
            bytes.parse().ok()?,
        ))
    };
    text.lines().filter_map(object).collect()
}

fn entries(program: &str, answer: &[u8]) -> Result<Vec<Value>, String> {
    match serde_json::from_slice(answer) {
        Ok(Value::Array(entries)) => Ok(entries),
        // Nothing is there.
        Ok(Value::Null) => Ok(Vec::new()),
        _ if answer.is_empty() => Ok(Vec::new()),
        _ => Err(format!("what `{program}` says cannot be read")),
    }
}

fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove("SWEEP_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("`{program}` is not installed here, so it cannot be listed")
        }
        _ => format!("`{program}` cannot be started: {error}"),
    })?;
    let all_of = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What could be read until it broke off says enough.
            let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            bytes
        })
    };
    let answer = all_of(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let complaint = all_of(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < LISTING_TIME_MAX => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "`{program}` takes longer than {} seconds to list it",
                    LISTING_TIME_MAX.as_secs()
                ));
            }
        }
    };
    if status.success() {
        return answer
            .join()
            .map_err(|_| format!("what `{program}` says cannot be read"));
    }
    let complaint = complaint.join().unwrap_or_default();
    let complaint = String::from_utf8_lossy(&complaint);
    let last = complaint
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it failed without a word");
    Err(format!("`{program}`: {}", last.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, version: &str, bytes: u64) -> Object {
        (name.to_owned(), version.to_owned(), bytes)
    }

    #[test]
    fn a_listing_is_of_versions_in_any_order() {
        let (a, b) = (object("a", "1", 10), object("b", "2", 20));
        let both = listing(vec![a.clone(), b.clone()]);
        assert_eq!((both.objects, both.bytes), (2, 30));
        assert_eq!(listing(vec![b.clone(), a]), both);
        assert_ne!(listing(vec![object("a", "3", 10), b]).digest, both.digest);
    }

    #[test]
    fn what_listing_programs_say_is_read() {
        let answer = b"      12  2026-01-01T00:00:00Z  gs://b/a file\nTOTAL: 1 objects, 12 bytes\n";
        assert_eq!(
            lines(answer),
            [object("b/a file", "2026-01-01T00:00:00Z", 12)]
        );
        assert_eq!(entries("aws", b"null"), Ok(Vec::new()));
        assert_eq!(entries("aws", b""), Ok(Vec::new()));
        assert!(entries("aws", b"<html>").is_err());
        assert!(listed("ftp://x").unwrap_err().contains("neither"));
    }
}
