//! Patterns of paths, as `when_to_run` has them: `*` within a name, `**` over folders, `?` for one character. A name at the
//! end stands for a file or for all that is in the folder of that name.

/// Why a text is no pattern; with what to write, where that is known.
pub(crate) fn check(pattern: &str) -> Result<(), (String, Option<String>)> {
    let bad = |message: &str, write: Option<String>| Err((message.to_string(), write));
    if pattern.trim().is_empty() {
        return bad("an empty pattern matches nothing", None);
    }
    if let Some(rest) = pattern.strip_prefix('/').or_else(|| pattern.strip_prefix("./")) {
        return bad(
            "a pattern begins at the root of the repository",
            Some(rest.trim_start_matches('/').into()),
        );
    }
    if let Some(rest) = pattern.strip_prefix('!') {
        return bad(&format!("nothing can be left out again: `!{rest}` is no pattern"), None);
    }
    if pattern.contains(['[', ']', '{', '}', '\\']) {
        return bad("a pattern has `*`, `**` and `?`, and no brackets", None);
    }
    if pattern.split('/').any(|part| [".", ".."].contains(&part)) {
        return bad("a path in a repository has no `.` and no `..`", None);
    }
    if let Some(part) = pattern.split('/').find(|part| part.contains("**") && *part != "**") {
        let help = part.replace("**", "*");
        return bad("`**` stands alone between slashes", Some(pattern.replacen(part, &help, 1)));
    }
    Ok(())
}

/// Whether a pattern matches a path from the root of the repository.
pub fn matches(pattern: &str, path: &str) -> bool {
    let folder = pattern.ends_with('/');
    let mut parts: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    let named = parts.last().is_some_and(|last| !last.contains(['*', '?']));
    let path: Vec<&str> = path.split('/').collect();
    if !folder && parts_match(&parts, &path) {
        return true;
    }
    parts.push("**");
    (folder || named) && parts_match(&parts, &path)
}

/// Folder by folder. Each pattern's part is looked at once for each of the path's: no pattern takes long.
fn parts_match(pattern: &[&str], path: &[&str]) -> bool {
    // Whether the pattern so far matches the first `at` parts of the path.
    let mut reach = vec![false; path.len() + 1];
    reach[0] = true;
    for (number, part) in pattern.iter().enumerate() {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match *part {
                // At the end it stands for something: a folder is not in itself.
                "**" if number + 1 == pattern.len() && number > 0 => {
                    at > 0 && (reach[at - 1] || next[at - 1])
                }
                "**" => reach[at] || at > 0 && next[at - 1],
                part => at > 0 && reach[at - 1] && name_matches(part, path[at - 1]),
            };
        }
        reach = next;
    }
    reach[path.len()]
}

fn name_matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reach = vec![false; name.len() + 1];
    reach[0] = true;
    for letter in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match letter {
                '*' => reach[at] || at > 0 && next[at - 1],
                '?' => at > 0 && reach[at - 1],
                letter => at > 0 && reach[at - 1] && name[at - 1] == letter,
            };
        }
        reach = next;
    }
    reach[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, yes, no) in [
            (
                "services/inbound/**",
                vec!["services/inbound/a.py", "services/inbound/b/c.py"],
                vec!["services/inbound", "services/outbound/a.py"],
            ),
            ("services/inbound", vec!["services/inbound", "services/inbound/a/b"], vec!["services/inbound2"]),
            ("services/inbound/", vec!["services/inbound/a"], vec!["services/inbound"]),
            ("**/*.sql", vec!["a.sql", "db/a.sql", "db/x/a.sql"], vec!["a.sql.bak", "db/a.sqlx"]),
            ("*.md", vec!["README.md"], vec!["docs/README.md"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b", "a/b/c"], vec!["b", "x/a/b", "a/xb"]),
            ("v?/*.rs", vec!["v1/a.rs"], vec!["v12/a.rs", "v1/x/a.rs"]),
            ("*", vec!["a"], vec!["a/b"]),
        ] {
            assert!(check(pattern).is_ok(), "{pattern}");
            yes.iter().for_each(|path| assert!(matches(pattern, path), "{pattern} {path}"));
            no.iter().for_each(|path| assert!(!matches(pattern, path), "{pattern} {path}"));
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (pattern, write) in [
            ("", None),
            ("/services/**", Some("services/**")),
            ("./a", Some("a")),
            ("!a", None),
            ("a/[bc]", None),
            ("{a,b}", None),
            ("../a", None),
            ("src/**.rs", Some("src/*.rs")),
        ] {
            let (_, help) = check(pattern).expect_err(pattern);
            assert_eq!(help.as_deref(), write, "{pattern}");
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let path = vec!["a"; 200].join("/");
        assert!(!matches(
            &["**"; 100].map(|part| format!("{part}/a")).join("/").replace("/a/", "/*a*a*/"),
            &path
        ));
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }
}
