//! The table of all settings: the key in a file and the name of the environment variable. `config/default.toml`
//! documents their meanings and default values.

/// One setting.
pub(super) struct Setting {
    /// Its key in a file, including sections and dots.
    pub(super) key: &'static str,
    /// The name of its environment variable, if it has one.
    pub(super) env: Option<&'static str>,
}

impl Setting {
    /// Returns both names, as an operator looks for them.
    pub(super) fn label(&self) -> String {
        match self.env {
            Some(env) => format!("{env} ({} in a file)", self.key),
            None => self.key.to_owned(),
        }
    }
}

const fn named(key: &'static str, env: &'static str) -> Setting {
    Setting { key, env: Some(env) }
}

const fn file_only(key: &'static str) -> Setting {
    Setting { key, env: None }
}

pub(super) const SETTINGS: &[Setting] = &[
    named("server.transport", "TRANSPORT_MODE"),
    named("server.single_user", "SINGLE_USER"),
    named("server.single_user_token", "SINGLE_USER_TOKEN"),
    named("server.bind", "BIND"),
    named("server.port", "PORT"),
    named("server.url", "SERVER_URL"),
    named("server.allowed_hosts", "ALLOWED_HOSTS"),
    named("server.allowed_origins", "ALLOWED_ORIGINS"),
    named("server.trusted_proxies", "TRUSTED_PROXIES"),
    named("server.contact", "OPERATOR_CONTACT"),
    file_only("server.max_body_bytes"),
    file_only("server.max_body_bytes_under_way"),
    file_only("server.header_timeout_seconds"),
    file_only("server.body_timeout_seconds"),
    file_only("server.send_timeout_seconds"),
    file_only("server.max_connections"),
    file_only("server.max_connections_per_source"),
    file_only("server.max_unfinished_requests_per_source"),
    file_only("server.large_requests_per_minute"),
    file_only("server.shutdown_seconds"),
    file_only("server.workers"),
    named("database.url", "DATABASE_URL"),
    named("database.direct_url", "DATABASE_DIRECT_URL"),
    file_only("database.pool_size"),
    named("encryption.key", "ENCRYPTION_KEY"),
    named("encryption.previous_keys", "ENCRYPTION_KEYS_PREVIOUS"),
    named("ownerrez.api_url", "OWNERREZ_API_URL"),
    named("ownerrez.app_url", "OWNERREZ_APP_URL"),
    named("ownerrez.client_id", "OWNERREZ_CLIENT_ID"),
    named("ownerrez.client_secret", "OWNERREZ_CLIENT_SECRET"),
    named("ownerrez.webhook_user", "OWNERREZ_WEBHOOK_USER"),
    named("ownerrez.webhook_password", "OWNERREZ_WEBHOOK_PASSWORD"),
    named("ownerrez.redirect_uri", "OWNERREZ_REDIRECT_URI"),
    file_only("ownerrez.send_redirect_uri"),
    named("ownerrez.request_limit", "UPSTREAM_LIMIT"),
    named("ownerrez.shared", "UPSTREAM_SHARED"),
    file_only("sessions.call_deadline_seconds"),
    file_only("sessions.queue_depth"),
    file_only("sessions.connect_timeout_seconds"),
    file_only("sessions.upstream_timeout_seconds"),
    file_only("sessions.answer_limit_bytes"),
    file_only("sessions.recent_answers_bytes"),
    file_only("sessions.idle_seconds"),
    file_only("sessions.renewal_sweep_seconds"),
    file_only("keys.bcrypt_cost"),
    file_only("keys.bcrypt_parallel"),
    file_only("keys.cache_entries"),
    file_only("keys.failures_per_address"),
    file_only("keys.failures_per_lookup_id"),
    file_only("keys.failure_minutes"),
    named("registration.mode", "REGISTRATION_MODE"),
    named("registration.token", "REGISTRATION_TOKEN"),
    file_only("registration.per_hour_and_address"),
    file_only("registration.unconnected_days"),
    file_only("connect.link_minutes"),
    file_only("connect.open_links_per_user"),
    named("connect.personal_tokens", "ALLOW_PERSONAL_TOKENS"),
    file_only("oauth.redirect_uris"),
    file_only("oauth.known_redirect_uris"),
    file_only("oauth.clients"),
    file_only("oauth.registration_days"),
    named("oauth.client_documents", "CLIENT_DOCUMENTS"),
    file_only("oauth.registrations_per_hour_and_address"),
    file_only("oauth.access_token_minutes"),
    file_only("oauth.refresh_token_days"),
    named("own_account.access_token", "OWNERREZ_ACCESS_TOKEN"),
    named("own_account.username", "OWNERREZ_USERNAME"),
    named("own_account.token", "OWNERREZ_TOKEN"),
    named("remote.url", "OWNERREZ_GATEWAY_URL"),
    named("remote.api_key", "OWNERREZ_API_KEY"),
    named("tools.toolsets", "MCP_TOOLSETS"),
    named("tools.tools", "MCP_TOOLS"),
    named("tools.exclude", "MCP_EXCLUDE_TOOLS"),
    named("tools.read_only", "MCP_READ_ONLY"),
    named("tools.two_steps", "MCP_TWO_STEPS"),
    named("log.format", "LOG_FORMAT"),
    named("metrics.bind", "METRICS_BIND"),
    named("metrics.token", "METRICS_TOKEN"),
];

/// Settings that were replaced: the old key in a file, and what to do instead.
const REPLACED: [(&str, &str); 1] = [(
    "oauth.redirect_schemes",
    "remove it and list the complete URIs of apps in oauth.redirect_uris: a scheme alone would allow every URI of \
     the app",
)];

/// Returns what to do instead of a setting of an earlier version.
pub(super) fn replacement(key: &str) -> Option<&'static str> {
    REPLACED.iter().find(|(replaced, _)| *replaced == key).map(|(_, remedy)| *remedy)
}

/// Returns the tool setting whose variable differs from this name only in spelling, such as MCP_READ_ONLY for
/// MCP_READONLY. If such a name were ignored, the restriction that the operator intended would not apply.
pub(super) fn misspelt_variable(name: &str) -> Option<&'static Setting> {
    let plain = |name: &str| {
        let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        letters.to_ascii_lowercase().trim_end_matches('s').to_owned()
    };
    let of_tools = SETTINGS.iter().filter(|setting| setting.key.starts_with("tools."));
    let mut variables = of_tools.filter_map(|setting| Some((setting, setting.env?)));
    if variables.clone().any(|(_, env)| env == name) {
        return None;
    }
    let name = plain(name);
    let suggestion =
        variables.find(|(_, env)| plain(env) == name || (name == "mcpexclude" && plain(env).starts_with(&name)));
    suggestion.map(|(setting, _)| setting)
}

/// Returns the setting with this key.
pub(super) fn at(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Returns the setting whose names are closest to `unknown`: probably what the operator meant.
pub(super) fn closest(unknown: &str) -> Option<&'static Setting> {
    let wanted = unknown.to_lowercase();
    SETTINGS.iter().min_by_key(|setting| edit_distance(setting, &wanted))
}

/// Returns the edit distance to the setting's key, or 0 if the operator wrote its environment name in the file. A
/// shortened name counts as a distance of 1. A known but different section adds 2; an unknown section adds nothing.
fn edit_distance(setting: &Setting, wanted: &str) -> usize {
    let parts = |key: &'static str| key.split_once('.').unwrap_or(("", key));
    let (section, name) = wanted.split_once('.').unwrap_or(("", wanted));
    let (own_section, own_name) = parts(setting.key);
    if setting.env.is_some_and(|env| env.eq_ignore_ascii_case(name)) {
        return 0;
    }
    let is_ours = SETTINGS.iter().any(|other| parts(other.key).0 == section);
    let by_section = if own_section != section && is_ours { 2 } else { 0 };
    let by_name = strsim::levenshtein(own_name, name);
    by_section + if own_name.contains(name) { by_name.min(1) } else { by_name }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    fn project_file(name: &str) -> String {
        std::fs::read_to_string(format!("{ROOT}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn environment_names() -> BTreeSet<&'static str> {
        SETTINGS.iter().filter_map(|setting| setting.env).collect()
    }

    /// Reads the default file as an operator does: section, comment, key.
    #[test]
    fn the_default_file_documents_every_setting_and_nothing_else() {
        let (mut section, mut comment, mut env) = (String::new(), 0, None);
        let mut documented = Vec::new();
        for line in project_file("config/default.toml").lines() {
            if let Some(name) = line.strip_prefix("# environment: ") {
                env = Some(name.to_owned());
            } else if line.starts_with('#') {
                comment += 1;
            } else if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            } else if let Some((name, _)) = line.split_once(" = ") {
                let key = format!("{section}.{name}");
                assert!(comment > 0, "{key} has no comment of its own");
                documented.push((key, env.take()));
                comment = 0;
            } else if !(line.starts_with("    ") || line == "]") {
                // The remaining lines are the content of a list.
                assert!(line.is_empty(), "{line}");
                comment = 0;
            }
        }
        let table: Vec<_> = SETTINGS.iter().map(|s| (s.key.to_owned(), s.env.map(str::to_owned))).collect();
        assert_eq!(documented, table);
    }

    #[test]
    fn no_name_is_used_twice() {
        assert_eq!(SETTINGS.iter().map(|setting| setting.key).collect::<BTreeSet<_>>().len(), SETTINGS.len());
        assert_eq!(environment_names().len(), SETTINGS.iter().filter(|setting| setting.env.is_some()).count());
    }

    #[test]
    fn a_variable_of_tools_is_found_by_another_spelling() {
        for (name, suggestion) in [
            ("MCP_READONLY", Some("tools.read_only")),
            ("mcp_read_only", Some("tools.read_only")),
            ("MCP_TOOLSET", Some("tools.toolsets")),
            ("MCP_EXCLUDE", Some("tools.exclude")),
            ("MCP_EXCLUDE_TOOL", Some("tools.exclude")),
            ("MCP_TWOSTEPS", Some("tools.two_steps")),
            ("MCP_READ_ONLY", None),
            ("MCP_TOOL_TIMEOUT", None),
            ("MCP_TIMEOUT", None),
            ("PATH", None),
        ] {
            assert_eq!(misspelt_variable(name).map(|setting| setting.key), suggestion, "{name}");
        }
    }

    #[test]
    fn a_wrong_name_finds_the_one_that_was_meant() {
        for (unknown, suggestion) in [
            ("server.prot", "server.port"),
            ("port", "server.port"),
            ("PORT", "server.port"),
            ("servr.bind", "server.bind"),
            ("database.poolsize", "database.pool_size"),
            ("ownerrez.url", "ownerrez.api_url"),
            ("UPSTREAM_LIMIT", "ownerrez.request_limit"),
            ("server.encryption_key", "encryption.key"),
            ("keys.cost", "keys.bcrypt_cost"),
            ("server.bcrypt_cost", "keys.bcrypt_cost"),
        ] {
            assert_eq!(closest(unknown).map(|setting| setting.key), Some(suggestion), "{unknown}");
        }
    }
}
