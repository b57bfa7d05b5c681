//! Values that stand for a value still to be given. One table, so that what the compiler warns of is what a run refuses.

/// Why a text is a placeholder and not a value.
pub fn placeholder(text: &str) -> Option<&'static str> {
    let plain = text.trim().to_ascii_lowercase();
    let bare = plain.strip_prefix("bearer").unwrap_or(&plain).trim();
    let letters: String = bare.chars().filter(char::is_ascii_alphanumeric).collect();
    if plain == "bearer" {
        return Some("it is an empty bearer");
    }
    if bare == "00000000-0000-0000-0000-000000000000" {
        return Some("it is the nil UUID, a placeholder");
    }
    let known = ["replaceme", "changeme", "yourtoken", "yourtokenhere", "yourapikey", "todo"];
    (known.contains(&letters.as_str()) || (bare.starts_with('<') && bare.ends_with('>')))
        .then_some("it is a placeholder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for (text, refused) in [
            ("00000000-0000-0000-0000-000000000000", true),
            ("Bearer ", true),
            ("Bearer replace-me", true),
            ("CHANGEME", true),
            ("change_me", true),
            ("<your token>", true),
            ("change", false),
            ("8f14e45f-ceea-467f-a0e6-9e5b5a8b7c1d", false),
            ("todo-service-key", false),
        ] {
            assert_eq!(placeholder(text).is_some(), refused, "{text}");
        }
    }
}
