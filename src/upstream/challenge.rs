//! `WWW-Authenticate` (RFC 9110 section 11.6.1), only the reason for which a Bearer token was rejected (RFC 6750
//! section 3).

/// The values of `error` that name the token as the reason. Clients of OwnerRez have observed the second one.
const ABOUT_THE_TOKEN: [&str; 2] = ["invalid_token", "token_expired"];

/// Returns whether a challenge in this header names the token as the reason.
pub(super) fn names_token(header: &str) -> bool {
    let mut bearer = false;
    for part in outside_quotes(header, ',') {
        let mut part = part.trim();
        // A word that is not followed by an equals sign begins a challenge.
        if let Some((scheme, rest)) = part.split_once(char::is_whitespace)
            && !scheme.contains('=')
            && !rest.trim_start().starts_with('=')
        {
            (bearer, part) = (scheme.eq_ignore_ascii_case("bearer"), rest);
        } else if !part.contains('=') {
            bearer = part.eq_ignore_ascii_case("bearer");
        }
        if let Some((name, value)) = part.split_once('=')
            && bearer
            && name.trim().eq_ignore_ascii_case("error")
            && ABOUT_THE_TOKEN.contains(&value.trim().trim_matches('"'))
        {
            return true;
        }
    }
    false
}

/// Splits a text at each separator outside of quoted strings.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_challenge_about_the_token_is_told_from_others() {
        for (header, expected) in [
            (r#"Bearer error="invalid_token""#, true),
            (
                r#"bearer realm="OwnerRez, API", error="invalid_token", error_description="The token, it expired.""#,
                true,
            ),
            ("Bearer error=invalid_token", true),
            (r#"Bearer error = "token_expired""#, true),
            (r#"Basic realm="x", Bearer realm="y", error="invalid_token""#, true),
            (r#"Bearer realm="y", Negotiate, Bearer error="invalid_token""#, true),
            ("Bearer", false),
            (r#"Bearer realm="OwnerRez""#, false),
            (r#"Bearer error="insufficient_scope""#, false),
            (r#"Bearer error_description="error=invalid_token""#, false),
            (r#"Bearer realm="a \", error=invalid_token""#, false),
            (r#"Basic realm="x", error="invalid_token""#, false),
            (r#"Bearer realm="y", DPoP error="invalid_token""#, false),
            (r#"Bearer realm="y", Basic, error="invalid_token""#, false),
            (r#"error="invalid_token""#, false),
            ("", false),
        ] {
            assert_eq!(names_token(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_a_trap(header in "(Bearer )?[ -~]{0,60}") {
            names_token(&header);
        }
    }
}
