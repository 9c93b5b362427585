//! Keys, tokens and passwords in text: of forms that are known, and those beside names that say what they are.

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
/// The name of an option or variable whose value is a secret, whatever it looks like.
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

/// Whether a value looks as if nobody had made it up.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys are put together here, so that nobody takes this file for one that holds any.
    fn key(beginning: &str, rest: usize) -> String {
        format!(
            "{beginning}{}",
            "aZ3kQ9xW7rT5mB8nL2vC4jH6gF1dS0pYeUiOEwRK"
                .repeat(5)
                .chars()
                .take(rest)
                .collect::<String>()
        )
    }

    fn whats(text: &str) -> Vec<&'static str> {
        findings(text.as_bytes())
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn all_forms_are_regular_expressions() {
        assert_eq!(KNOWN.len(), FORMS.len());
        assert!(BESIDE.is_some() && OPTION.is_some());
    }

    #[test]
    fn keys_are_known_by_their_form() {
        let cases = [
            (format!("x = '{}'", key("ghp_", 36)), "a GitHub token"),
            (key("glpat-", 20), "a GitLab token"),
            (key("hf_", 34), "a Hugging Face token"),
            (key("sk-ant-", 40), "an API key"),
            (key("xoxb-", 20), "a Slack token"),
            (key("AIza", 35), "a Google API key"),
            (key("npm_", 36), "an npm token"),
            (key("dckr_pat_", 27), "a Docker token"),
            (key("hvs.", 30), "a Vault token"),
            (key("sk_live_", 24), "a Stripe key"),
            (
                format!("-----BEGIN {}-----", "OPENSSH PRIVATE KEY"),
                "a private key",
            ),
            (
                format!("AccountKey={}==", key("", 86)),
                "an Azure storage key",
            ),
            (
                "postgres://me:hunter22@db.local/x".to_owned(),
                "a password in an address",
            ),
            (
                format!("swp_{}", "0a9f3c81d7be4652".repeat(4)),
                "a token of sweep",
            ),
            (
                format!(
                    "wandb.login(key=\"{}\")",
                    "0a9f3c81d7be46528b1c77de90f2a3451ea08d6c"
                ),
                "a W&B API key",
            ),
            (
                format!("sv=2024-01-01&ss=b&sig={}", key("", 43)),
                "an Azure signature",
            ),
            (format!("123456789:AA{}", key("", 33)), "a Telegram token"),
            (
                format!("SK{}", "0a9f3c81d7be4652".repeat(2)),
                "a Twilio key",
            ),
            (
                format!("key-{}", "0a9f3c81d7be4652".repeat(2)),
                "a Mailgun key",
            ),
            (
                format!("sbp_{}", "0a9f3c81d7".repeat(4)),
                "a Supabase token",
            ),
            (format!("pul-{}", "0a9f3c81d7".repeat(4)), "a Pulumi token"),
            (
                format!(
                    "https://{}@o1.ingest.sentry.io/42",
                    "0a9f3c81d7be4652".repeat(2)
                ),
                "a Sentry address",
            ),
            (
                format!("{}.{}.{}", key("eyJ", 20), key("eyJ", 20), key("", 30)),
                "a JSON web token",
            ),
        ];
        for (text, what) in cases {
            assert_eq!(whats(&text), [what], "{text}");
            assert_eq!(
                whats(&format!("export A={text}\nnext")).first(),
                Some(&what),
                "{text}"
            );
        }
        for text in [
            "ghp_short AKIAsmall xoxo AIza",
            "https://example.org/a:b@c",
            &format!("AAAA{}", key("AKIA", 16)),
            "sk-learn",
            "eyJhbGciOi",
        ] {
            assert_eq!(whats(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn random_values_beside_telling_names_are_found_and_words_are_not() {
        let random = key("", 32);
        let found = [
            format!("WANDB_API_KEY={random}"),
            format!("api_key = \"{random}\""),
            format!("  \"client_secret\": \"{random}\","),
            format!("password: {random}"),
            format!("os.environ['HF_TOKEN'] = '{random}'"),
            format!("headers = {{'Authorization-Token': 'Bearer {random}'}}"),
            format!("headers = {{\"Authorization\": \"Bearer {random}\"}}"),
            "wandb_api_key: 0a9f3c81d7be46528b1c77de90f2a3451ea08d6c".to_owned(),
            format!("setdefault(\"WANDB_API_KEY\", \"{random}\")"),
            format!("<password>{random}</password>"),
            format!("curl \"https://api.example.org/v1?access_token={random}\""),
            format!("train --api-key {random} --lr 0.1"),
            format!("API_KEY = (\n    \"{random}\"\n)"),
            format!("password: \\\n  {random}\n"),
        ];
        for text in found {
            assert_eq!(whats(&text).len(), 1, "{text}");
        }
        let others = [
            "tokenizer = 'bert-base-uncased-v2-512'",
            "token = get_token_from_environment2(3)",
            "api_key = os.environ['WANDB_API_KEY_2024']",
            "max_tokens: 4096",
            "secret = \"your_secret_key_1234567890\"",
            "API_KEY=${{ secrets.API_KEY_2 }}",
            "password = 'correct horse battery'",
            "eos_token_id: 1234567890123456",
            "api_key: xxxxxxxxxxxxxxxx12",
            "commit = 0a9f3c81d7be46520a9f3c81d7be465277aa31f0",
            "token=settings.integrations.hub.token_v2",
        ];
        for text in others {
            assert_eq!(whats(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn all_of_a_private_key_is_hidden_even_where_its_end_is_cut_off() {
        let (begin, end) = (
            format!("-----BEGIN {}-----", "RSA PRIVATE KEY"),
            format!("-----END {}-----", "RSA PRIVATE KEY"),
        );
        let body = key("", 64);
        let whole = format!("-{begin}\n-{body}\n-{body}\n-{end}\n+x = 1\n");
        assert_eq!(redacted(&whole), "-[hidden]\n+x = 1\n");
        assert_eq!(
            redacted(&format!("+{begin}\n+{body}\n+{body}\n@@ x\n")),
            "+[hidden]\n@@ x\n"
        );
    }

    #[test]
    fn addresses_lose_what_may_be_a_secret() {
        let cases = [
            ("https://me:pw@host/a.git", "https://host/a.git"),
            (
                "https://token@host/a.git?private_token=abc#x",
                "https://host/a.git",
            ),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("ssh://git@host:22/a", "ssh://host:22/a"),
            ("ext::sh -c evil", "ext::[hidden]"),
            ("/srv/git/a.git", "/srv/git/a.git"),
            ("https://host", "https://host"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_secrets_in_url(url), shown);
        }
        let url = format!("https://host/{}/a.git", key("glpat-", 20));
        assert_eq!(without_secrets_in_url(&url), "https://host/[hidden]/a.git");
    }

    #[test]
    fn arguments_lose_secrets_and_keep_parameters() {
        let arguments = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let key = key("hf_", 34);
        let given = format!(
            "python train.py --lr=0.1 --api-key hunter2 --password=hunter2 --hub_token {key} --max-tokens 512 --pad_token [PAD] --token 7 --secret -v \
             x={key} WANDB_API_KEY=hunter2 --url=https://me:pw@host/a?token=abcd&b=1 --tokenizer gpt2 postgres://u:pass@h/db"
        );
        let shown = "python train.py --lr=0.1 --api-key [hidden] --password=[hidden] --hub_token [hidden] --max-tokens 512 --pad_token [PAD] --token 7 --secret -v \
             x=[hidden] WANDB_API_KEY=[hidden] --url=https://[hidden]@host/a?token=[hidden]&b=1 --tokenizer gpt2 postgres://[hidden]@h/db";
        let shown_now = redacted_arguments(&arguments(&given));
        let apart = ["--url", "https://me:hunter22@host/a?private_token=abcd"].map(str::to_owned);
        assert_eq!(
            redacted_arguments(&apart)[1],
            "https://[hidden]@host/a?private_token=[hidden]"
        );
        let header = format!("Authorization: Bearer {}", &key[3..]);
        assert_eq!(
            redacted_arguments(&["--header".to_owned(), header])[1],
            "Authorization: Bearer [hidden]"
        );
        assert_eq!(
            redacted_arguments(&["PGPASSWORD=hunter22".to_owned()]),
            ["PGPASSWORD=[hidden]"]
        );
        assert_eq!(redacted_arguments(&["é://x".to_owned()]), ["é://x"]);
        assert_eq!(shown_now.join(" "), shown);
    }

    #[test]
    fn values_of_doubtful_options_are_hidden_where_they_look_like_secrets() {
        let random = key("", 32);
        let shown = |text: &str| {
            redacted_arguments(&text.split(' ').map(str::to_owned).collect::<Vec<_>>()).join(" ")
        };
        for option in [
            "--key=",
            "--key ",
            "--license_key=",
            "-k ",
            "--db-pass=",
            "--webhook=",
            "-p",
            "--session.cookie=",
        ] {
            let is_hidden = option != "-k ";
            let expected = format!(
                "train {option}{} --lr 0.1",
                if is_hidden {
                    "[hidden]"
                } else {
                    random.as_str()
                }
            );
            assert_eq!(shown(&format!("train {option}{random} --lr 0.1")), expected);
        }
        for plain in [
            "--key=accuracy",
            "--sort-key val_loss",
            "--key=mixed5b_branch3x3_conv2",
            "--salt 12",
            "-pfp16",
            "-j16",
            "-p3.14159265358979",
            "-Dsome/path/of/images2024",
            "--max_tokens=4096",
            "--config=resnet50_v2_imagenet_224.yaml",
        ] {
            assert_eq!(shown(plain), plain);
        }
    }
}
