//! Did you mean: the nearest known name to one that was misspelt.

/// The nearest of `known`, when it is near enough to be what was meant.
pub(crate) fn nearest<'a, I>(name: &str, known: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let (plain, length) = (flatten(name), name.chars().count());
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        if candidate == name || candidate.is_empty() {
            continue;
        }
        let other = candidate.chars().count();
        let allowed = (length.max(other) / 3).max(1);
        let distance = match flatten(candidate) == plain {
            true => 0,
            // Known before anything is compared: there may be thousands of names.
            false if length.abs_diff(other) > allowed => continue,
            false => strsim::osa_distance(name, candidate),
        };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// What k6 and its users call a key, and the key to write in its place.
const K6: [(&str, &str); 10] = [
    ("sleep", "pause"),
    ("think_time", "pause"),
    ("thinkTime", "pause"),
    ("check", "expect"),
    ("checks", "expect"),
    ("requests", "steps"),
    ("params", "headers"),
    ("baseUrl", "target"),
    ("base_url", "target"),
    ("baseURL", "target"),
];

/// The key for a word of k6, where it can stand.
pub(crate) fn of_k6<'a>(name: &str, mut known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (_, key) = K6.iter().find(|(word, _)| *word == name)?;
    known.find(|known| known == key)
}

/// `preAllocatedVUs`, `pre-allocated-vus` and `pre_allocated_vus` are one name to a reader.
fn flatten(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `` `a`, `b` and `c` ``; the given words as they are, in their order.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["pre_allocated_vus", "max_vus", "rate"];
        assert_eq!(nearest("preAllocatedVUs", keys), Some("pre_allocated_vus"));
        assert_eq!(nearest("rte", keys), Some("rate"));
        assert_eq!(nearest("thresholds", keys), None);
        assert_eq!(listed(["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }
}
