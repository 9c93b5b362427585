//! Keys and tokens whose form says what they are, as their issuers document it.

/// A form: what it is of, in words, and a regular expression.
pub(super) struct Form {
    pub(super) what: &'static str,
    pub(super) pattern: &'static str,
}

const fn form(what: &'static str, pattern: &'static str) -> Form {
    Form { what, pattern }
}

/// Forms that begin with something that nothing else begins with.
pub(super) const FORMS: [Form; 67] = [
    form(
        "a private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?s-u:.*?)-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|(?:[\s+-]*[A-Za-z0-9+/=]{20,})*)",
    ),
    form("a private key", r"PuTTY-User-Key-File-[0-9]+: "),
    form("a private key", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    form("an AWS access key", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    form("a Bedrock API key", r"ABSK[A-Za-z0-9+/]{100,}"),
    form("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,}"),
    form("a GitHub token", r"github_pat_[A-Za-z0-9_]{22,}"),
    form(
        "a GitLab token",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_-]{20,}",
    ),
    form("a GitLab token", r"GR1348941[A-Za-z0-9_-]{20,}"),
    form("a Bitbucket token", r"ATBB[A-Za-z0-9]{28,}"),
    form("an Atlassian token", r"ATATT3[A-Za-z0-9_=-]{100,}"),
    form("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    form(
        "a Slack token",
        r"xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,}",
    ),
    form(
        "a Slack webhook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{30,}",
    ),
    form(
        "a Discord webhook",
        r"discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{60,}",
    ),
    form("a Google API key", r"AIza[0-9A-Za-z_-]{35}"),
    form("a Google OAuth secret", r"GOCSPX-[A-Za-z0-9_-]{28}"),
    form("a Google OAuth token", r"ya29\.[A-Za-z0-9_-]{30,}"),
    form("a token of sweep", r"swp_[0-9a-f]{64}"),
    form(
        "a W&B API key",
        r#"wandb\.login\([^)\n]{0,80}key\s*=\s*["'][0-9a-f]{40}["']"#,
    ),
    form(
        "an Azure signature",
        r"sv=20[0-9]{2}-[0-9]{2}-[0-9]{2}&[A-Za-z0-9&=%:._-]{0,400}sig=[A-Za-z0-9%+/=]{40,}",
    ),
    form("a Telegram token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    form(
        "a Discord token",
        r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
    ),
    form("a Twilio key", r"SK[0-9a-f]{32}"),
    form("a Mailgun key", r"key-[0-9a-f]{32}"),
    form(
        "a Supabase token",
        r"sb(?:p_[a-f0-9]{40}|_secret_[A-Za-z0-9_-]{20,})",
    ),
    form("a Pulumi token", r"pul-[a-f0-9]{40}"),
    form(
        "a Sentry address",
        r"https://[0-9a-f]{32}@[a-z0-9.-]*sentry\.[a-z.]+/[0-9]+",
    ),
    form("a Hugging Face token", r"hf_[A-Za-z0-9]{34}"),
    form("a Hugging Face token", r"api_org_[A-Za-z0-9]{34}"),
    form("a W&B API key", r"wandb_v1_[A-Za-z0-9_-]{40,}"),
    form(
        "an API key",
        r"sk-(?:proj|ant|svcacct|admin|or-v1|lf)-[A-Za-z0-9_-]{24,}",
    ),
    form("an API key", r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    form("an API key", r"sk-[A-Za-z0-9]{48}"),
    form("an API key", r"gsk_[A-Za-z0-9]{52}"),
    form("an API key", r"r8_[A-Za-z0-9]{37}"),
    form("an API key", r"pplx-[A-Za-z0-9]{40,}"),
    form("an API key", r"xai-[A-Za-z0-9]{70,}"),
    form("an API key", r"nvapi-[A-Za-z0-9_-]{60,}"),
    form("an API key", r"tgp_v1_[A-Za-z0-9_-]{40,}"),
    form("an API key", r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    form("a Kaggle token", r"KGAT_[a-f0-9]{32}"),
    form("an npm token", r"npm_[A-Za-z0-9]{36}"),
    form("a PyPI token", r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    form("a RubyGems key", r"rubygems_[a-f0-9]{48}"),
    form("a Docker token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}"),
    form(
        "a Stripe key",
        r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{16,}",
    ),
    form(
        "a SendGrid key",
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    ),
    form("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}"),
    form("a Databricks token", r"dapi[a-h0-9]{32}"),
    form("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    form(
        "a Terraform token",
        r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}",
    ),
    form("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    form(
        "an Azure secret",
        r"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}",
    ),
    form("a Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    form("a Square token", r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}"),
    form("a Linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    form("a Notion token", r"ntn_[A-Za-z0-9]{43,}"),
    form("a Grafana token", r"gl(?:c|sa)_[A-Za-z0-9+/=_]{32,}"),
    form("a New Relic key", r"NRAK-[A-Z0-9]{27}"),
    form("a Sentry token", r"sntry[su]_[A-Za-z0-9+/=_]{40,}"),
    form("a Postman key", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    form(
        "a Doppler token",
        r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,}",
    ),
    form(
        "a PlanetScale token",
        r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_=.-]{32,}",
    ),
    form(
        "a Tailscale key",
        r"tskey-[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{20,}",
    ),
    form(
        "a JSON web token",
        r"eyJ[A-Za-z0-9_-]{14,}\.eyJ[A-Za-z0-9_-]{14,}\.[A-Za-z0-9_-]{20,}",
    ),
    form(
        "a password in an address",
        r"[a-z][a-z0-9+.-]{1,20}://[^/\s:@'\x22<>{}$]*:[^/\s:@'\x22<>{}$]{3,}@[A-Za-z0-9.-]+",
    ),
];
