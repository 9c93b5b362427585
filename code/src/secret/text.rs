//! Keys, tokens and passwords in text: of forms that are known, and those beside names that say what they are.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::forms::FORMS;

/// Stands where a secret was.
const HIDDEN: &str = "[hidden]";
/// A line longer than this is no text that a person has written; its end is not looked at for names.
const LINE_BYTES_MAX: usize = 4096;
/// A value beside a telling name is a secret from this length, and this many bits a character.
const VALUE_BYTES_MIN: usize = 16;
const BITS_MIN: f64 = 3.4;
/// Hexadecimal digits have four bits at most.
const HEX_BITS_MIN: f64 = 3.0;
/// Texts that mark a placeholder for a secret.
const PLACEHOLDERS: [&str; 16] = [
    "example",
    "changeme",
    "change_me",
    "placeholder",
    "your_",
    "your-",
    "yourtoken",
    "xxxx",
    "****",
    "dummy",
    "redacted",
    "insert",
    "123456789",
    "abcdef",
    "test",
    "none",
];

/// The forms, each ready to be looked for.
static KNOWN: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let compiled = FORMS
        .iter()
        .map(|form| Some((form.what, Regex::new(form.pattern).ok()?)));
    compiled.flatten().collect()
});
/// A name that ends with a telling word, and its value.
static BESIDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = "api[_-]?key|access[_-]?key|secret[_-]?key|account[_-]?key|private[_-]?key|auth[_-]?key|encryption[_-]?key|secret|token|password|passwd|passphrase|pwd|credential|credentials|authorization";
    let beside = format!(
        r#"(?:^|[^a-z0-9])[a-z0-9_.-]*(?:{words})["']?\]?\s*(?:=>|:=|==|=|:|,|>)\s*[(\[{{\\]?\s*"#
    );
    let option = format!(r"--[a-z0-9_.-]*(?:{words})\s+");
    let value = format!(
        r#"(["']?)(?:bearer\s+|basic\s+)?([a-z0-9+/_=~.!@#%^&*-]{{{VALUE_BYTES_MIN},}})(["']?)"#
    );
    let pattern = format!("(?i)(?:{beside}|{option}){value}");
    Regex::new(&pattern).ok()
});
/// A line that ends with a telling name: its value is on the next one.
static OPEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?:key|secret|token|password|passwd|passphrase|credentials?)["']?\]?\s*[=:]\s*[(\[{\\]?\s*$"#).ok()
});
/// The name of an option or variable whose value is a secret in any case.
static OPTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:.*[_.-])?(?:api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|secret|password|passwd|pgpassword|passphrase|pwd|credentials?|auth|authorization|(?:auth|access|api|bearer|hf|hub|github|gitlab|wandb|refresh|session|use|private)[_-]?token|token)$").ok()
});

/// The name of an option whose value is a secret if it looks like one: `--key` names a column of a table as often.
static DOUBTFUL_OPTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:.*[_.-])?(?:key|keys|pass|pw|cred|creds|bearer|cookie|session|license|licence|sig|signature|hmac|salt|jwt|dsn|webhook|tokens?|secrets)$").ok()
});

/// Something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where.
    pub(crate) range: Range<usize>,
    /// The kind of secret.
    pub(crate) what: &'static str,
}

/// Returns what looks like a secret in a text, in its order; none overlaps another.
pub(crate) fn findings(text: &[u8]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (what, regex) in KNOWN.iter() {
        for found_at in regex.find_iter(text) {
            if is_whole(text, found_at.range()) && !is_placeholder(found_at.as_bytes()) {
                found.push(Finding {
                    range: found_at.range(),
                    what,
                });
            }
        }
    }
    let mut start = 0;
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_open = line.len() <= LINE_BYTES_MAX
            && OPEN
                .as_ref()
                .is_some_and(|regex| regex.is_match(line.trim_ascii_end()));
        let next = if is_open {
            lines.peek().map_or(0, |next| next.len())
        } else {
            0
        };
        let looked_at = &text[start..start + (line.len() + next).min(LINE_BYTES_MAX)];
        found.extend(beside_names(looked_at).map(|range| Finding {
            range: start + range.start..start + range.end,
            what: "a secret, by the name before it",
        }));
        start += line.len();
    }
    found.sort_by_key(|finding| (finding.range.start, std::cmp::Reverse(finding.range.end)));
    let mut end = 0;
    found.retain(|finding| {
        let is_apart = finding.range.start >= end;
        if is_apart {
            end = finding.range.end;
        }
        is_apart
    });
    found
}

/// Whether what was found is not in the middle of something longer, as in the text of an encoded image.
fn is_whole(text: &[u8], range: Range<usize>) -> bool {
    let before = range.start.checked_sub(1).map(|index| text[index]);
    match before {
        Some(b'/') => text[range]
            .iter()
            .any(|byte| matches!(byte, b'-' | b'_' | b'.' | b':')),
        Some(byte) => {
            !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'_'))
                || !text[range.start].is_ascii_alphanumeric()
        }
        None => true,
    }
}

fn beside_names(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let captures = BESIDE
        .iter()
        .flat_map(move |regex| regex.captures_iter(line));
    captures.filter_map(move |captures| {
        let (opening, value, closing) = (captures.get(1)?, captures.get(2)?, captures.get(3)?);
        let is_quoted = !opening.is_empty();
        if is_quoted && opening.as_bytes() != closing.as_bytes() {
            return None;
        }
        // What is neither quoted nor ends its line is an expression of a program.
        let rest = line[value.end()..].trim_ascii();
        let is_option = captures
            .get(0)
            .is_some_and(|all| all.as_bytes().starts_with(b"--"));
        let ends = rest.is_empty()
            || is_option
            || rest.first().is_some_and(|byte| b"#\\&<\"'".contains(byte));
        ((is_quoted || ends) && is_random(value.as_bytes(), is_quoted)).then(|| value.range())
    })
}

/// Whether a value looks random.
fn is_random(value: &[u8], is_quoted: bool) -> bool {
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let is_hex = value.iter().all(u8::is_ascii_hexdigit);
    // Names and paths of programs are words with signs between them.
    let is_expression = !is_quoted
        && value
            .iter()
            .filter(|byte| matches!(byte, b'.' | b'_' | b'-' | b'/'))
            .count()
            * 5
            > value.len();
    let least = if is_hex { HEX_BITS_MIN } else { BITS_MIN };
    digits >= 2
        && letters >= 2
        && !is_expression
        && !is_placeholder(value)
        && bits_per_byte(value) >= least
}

fn is_placeholder(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).to_lowercase();
    PLACEHOLDERS.iter().any(|placeholder| {
        text.contains(placeholder) && placeholder.len() * 3 >= text.len().min(30)
    }) || text.contains("example")
        || text.contains("xxxxxx")
}

/// Shannon's entropy of the bytes of a value.
fn bits_per_byte(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    value
        .iter()
        .for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = value.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / length)
        .map(|share| -share * share.log2())
        .sum()
}

/// Returns a text with `[hidden]` in the place of each secret.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let found = findings(text.as_bytes());
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut end) = (String::new(), 0);
    for Finding { range, .. } in found {
        // All forms are of ASCII letters.
        shown.push_str(text.get(end..range.start).unwrap_or_default());
        shown.push_str(HIDDEN);
        end = range.end;
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(shown)
}

/// Returns the arguments of a program with `[hidden]` in the place of each secret: keys of known forms, and values of options whose names say what
/// they are (`--api-key X`, `--password=X`, `TOKEN=X`).
pub fn redacted_arguments(arguments: &[String]) -> Vec<String> {
    let mut previous: Option<&str> = None;
    let mut shown = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let is_option = argument.starts_with('-') && argument.len() > 1;
        shown.push(match previous.take() {
            Some(name) if !is_option && is_secret_option(name) => hide_value(argument),
            Some(name) if !is_option && is_doubtful_option(name) && looks_like_secret(argument) => {
                HIDDEN.to_owned()
            }
            _ => {
                previous = is_option.then_some(argument);
                redacted_argument(argument)
            }
        });
    }
    shown
}

fn redacted_argument(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, value)) if is_secret_option(name) && !name.contains("://") => {
            return format!("{name}={}", hide_value(value));
        }
        Some((name, value)) if is_doubtful_option(name) && looks_like_secret(value) => {
            return format!("{name}={HIDDEN}");
        }
        _ => {}
    }
    // `-pX`, as the clients of databases take a password.
    if let Some((option, value)) = argument.split_at_checked(2)
        && option.starts_with('-')
        && option.as_bytes()[1].is_ascii_alphabetic()
        && looks_like_secret(value)
    {
        return format!("{option}{HIDDEN}");
    }
    // An address may be all of an argument or the value of an option.
    redacted(&redacted_urls(argument)).into_owned()
}

fn looks_like_secret(value: &str) -> bool {
    // Names of layers and files are words with signs between them.
    let is_name = value.contains(['_', '-', '.', '/'])
        && !value.contains(|char: char| char.is_ascii_uppercase());
    value.len() >= VALUE_BYTES_MIN && !is_name && is_random(value.as_bytes(), false)
}

fn is_doubtful_option(name: &str) -> bool {
    let is_part_of_text = name.to_lowercase().replace('-', "_").ends_with("_tokens");
    !name.contains("://")
        && !is_part_of_text
        && DOUBTFUL_OPTION
            .as_ref()
            .is_some_and(|regex| regex.is_match(name.trim_start_matches('-').as_bytes()))
}

fn redacted_urls(argument: &str) -> String {
    let Some(scheme_end) = argument.find("://") else {
        return argument.to_owned();
    };
    let is_other = |char: char| !char.is_ascii_alphanumeric() && !"+.-".contains(char);
    let before = argument[..scheme_end]
        .char_indices()
        .rfind(|(_, char)| is_other(*char));
    let begins = before.map_or(0, |(at, char)| at + char.len_utf8());
    let is_address = argument[begins..]
        .bytes()
        .all(|byte| byte.is_ascii_graphic());
    if is_address {
        format!(
            "{}{}",
            &argument[..begins],
            with_hidden_parts(&argument[begins..])
        )
    } else {
        argument.to_owned()
    }
}

/// Numbers and words as short as `1` or `none` are no secrets, and mostly what a run varies.
fn hide_value(value: &str) -> String {
    let is_plain = value.len() < 4
        || value.parse::<f64>().is_ok()
        || value.starts_with('[')
        || value.starts_with('<')
        || value.starts_with('$');
    if is_plain {
        value.to_owned()
    } else {
        HIDDEN.to_owned()
    }
}

fn is_secret_option(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    let is_part_of_text = [
        "pad_token",
        "eos_token",
        "bos_token",
        "unk_token",
        "mask_token",
        "cls_token",
        "sep_token",
        "image_token",
        "stop_token",
        "special_token",
    ];
    let plain = name.to_lowercase().replace('-', "_");
    OPTION
        .as_ref()
        .is_some_and(|regex| regex.is_match(name.as_bytes()))
        && !is_part_of_text.iter().any(|end| plain.ends_with(end))
}

/// Returns the address of a repository without what may be a secret in it: users and passwords, all that follows `?` or `#`, and keys of known
/// forms. `https://user:token@host/path?private_token=x` becomes `https://host/path`.
pub fn without_secrets_in_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    // `ext::program arguments` names a program, not a place.
    if let Some((helper, _)) = url
        .split_once("::")
        .filter(|(helper, _)| helper.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    {
        return format!("{helper}::{HIDDEN}");
    }
    let plain = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest
                .split_once('/')
                .map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit('@').next().unwrap_or(host);
            path.map_or_else(
                || format!("{scheme}://{host}"),
                |path| format!("{scheme}://{host}/{path}"),
            )
        }
        None => url.to_owned(),
    };
    redacted(&plain).into_owned()
}

/// Returns an address with `[hidden]` for a password and for values of secret parameters, and otherwise as it is.
fn with_hidden_parts(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    let place = match place.rsplit_once('@') {
        Some((user, host)) if user.contains(':') || user.len() >= VALUE_BYTES_MIN => {
            format!("{HIDDEN}@{host}")
        }
        _ => place.to_owned(),
    };
    let Some((path, query)) = path.split_once('?') else {
        return format!("{scheme}://{place}{path}");
    };
    let hidden = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _))
                if is_secret_option(name)
                    || [
                        "sig",
                        "signature",
                        "key",
                        "x-amz-signature",
                        "x-amz-credential",
                    ]
                    .contains(&name.to_lowercase().as_str()) =>
            {
                format!("{name}={HIDDEN}")
            }
            _ => parameter.to_owned(),
        });
    format!(
        "{scheme}://{place}{path}?{}",
        hidden.collect::<Vec<_>>().join("&")
    )
}
