//! Tests of how secrets are found in text.

use super::*;

/// Keys are put together here, so that this file is not taken for one that holds any.
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
