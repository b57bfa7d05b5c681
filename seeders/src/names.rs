//! SQL names and literals, always quoted.

/// `"name"`, quotes doubled.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."table"`.
pub(crate) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", ident(schema), ident(table))
}

/// `prefix."a", prefix."b"`; without prefix `"a", "b"`.
pub(crate) fn list<S: AsRef<str>>(prefix: &str, names: &[S]) -> String {
    let dot = if prefix.is_empty() { "" } else { "." };
    names.iter().map(|name| format!("{prefix}{dot}{}", ident(name.as_ref()))).collect::<Vec<_>>().join(", ")
}

/// `a."x" = b."x" AND …`.
pub(crate) fn same<S: AsRef<str>>(left: &str, right: &str, names: &[S]) -> String {
    let pair = |name: &S| format!("{left}.{0} = {right}.{0}", ident(name.as_ref()));
    names.iter().map(pair).collect::<Vec<_>>().join(" AND ")
}

/// One element of an array literal in Postgres' text form, quoted so that any text is safe.
pub(crate) fn array_element(out: &mut String, text: Option<&str>) {
    let Some(text) = text else {
        out.push_str("NULL");
        return;
    };
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// The candidate nearest to `name`, if it is near enough to be meant.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| {
            (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= (name.chars().count() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(ident("we\"ird"), "\"we\"\"ird\"");
        assert_eq!(same("t", "s", &["a", "b"]), "t.\"a\" = s.\"a\" AND t.\"b\" = s.\"b\"");
        let mut out = String::new();
        array_element(&mut out, Some("a\"b\\c,{}"));
        assert_eq!(out, "\"a\\\"b\\\\c,{}\"");
        assert_eq!(did_you_mean("hostnam", ["id", "hostname"].into_iter()), Some("hostname"));
        assert_eq!(did_you_mean("colour", ["id", "hostname"].into_iter()), None);
    }
}
