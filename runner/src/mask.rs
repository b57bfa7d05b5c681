//! Keeps secret values out of everything that people or files get to see.

use crate::evidence::{End, Evidence, Population};
use planc::graph::Json;
use std::collections::HashSet;
use std::sync::Arc;

/// What is written in a secret's place.
pub const HIDDEN: &str = "•••";

/// The secret values of a run.
#[derive(Clone, Default)]
pub struct Masker {
    /// Longest first, so that a secret inside a longer one leaves no rest of it.
    secrets: Vec<String>,
    /// Values of which there are thousands, found as whole words.
    many: Arc<HashSet<String>>,
}

/// Many values are looked for as runs of these.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.~+/=".contains(c)
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masker({} values)", self.secrets.len())
    }
}

impl Masker {
    /// Takes in a secret, with the forms in which it travels.
    pub fn add(&mut self, secret: &str) {
        let json = serde_json::to_string(secret).unwrap_or_default();
        let base64 = {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(secret)
        };
        let (upper, lower) = (secret.to_uppercase(), secret.to_lowercase());
        for form in [secret, json.trim_matches('"'), &percent_encoded(secret), &base64, &upper, &lower] {
            if !form.trim().is_empty() && !self.secrets.iter().any(|known| known == form) {
                self.secrets.push(form.to_owned());
            }
        }
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Takes in values of which there may be thousands, such as a key for each account.
    pub fn add_many(&mut self, secrets: impl Iterator<Item = String>) {
        let plain = |secret: &String| secret.len() >= 8 && secret.chars().all(in_word);
        let (words, others): (Vec<String>, Vec<String>) = secrets.partition(plain);
        Arc::make_mut(&mut self.many).extend(words);
        others.iter().for_each(|secret| self.add(secret));
    }

    /// The text with each word in it that is one of many secrets hidden.
    fn hide_many(&self, text: &str) -> Option<String> {
        let is_secret = |word: &str| self.many.contains(word);
        // A secret at the end of a sentence, or behind `key=` or `/keys/`, is one all the same.
        let found = |word: &str| {
            let starts = word.match_indices(['=', '/']).map(|(at, mark)| at + mark.len());
            let mut rests = std::iter::once(0).chain(starts).map(|at| &word[at..]);
            let bare = |rest: &str| {
                [rest, rest.trim_end_matches('.')].into_iter().find(|it| is_secret(it)).map(str::to_owned)
            };
            rests.find_map(bare)
        };
        let secrets: Vec<String> = text.split(|c| !in_word(c)).filter_map(found).collect();
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), HIDDEN);
        (!secrets.is_empty()).then(|| secrets.iter().fold(text.to_owned(), hide))
    }

    /// The secrets, for those who mask by themselves.
    pub fn values(&self) -> Vec<String> {
        self.secrets.clone()
    }

    /// The text with every secret in it hidden.
    pub fn hide(&self, text: &str) -> String {
        let many = if self.many.is_empty() { None } else { self.hide_many(text) };
        self.secrets.iter().fold(many.unwrap_or_else(|| text.to_owned()), |text, secret| {
            if secret.chars().count() >= 4 {
                return if text.contains(secret.as_str()) {
                    text.replace(secret.as_str(), HIDDEN)
                } else {
                    text
                };
            }
            // A short secret is hidden where it stands alone: replacing every `a` would hide everything else.
            hide_word(&text, secret)
        })
    }

    /// Hides secrets in everything of the evidence that came from outside the graph, and the values that the plan
    /// itself gives to secret inputs, which are no part of the graph's id.
    pub fn hide_evidence(&self, evidence: &mut Evidence) {
        let hide = |text: &mut String| *text = self.hide(text);
        evidence.graph.hide_secrets();
        for node in &mut evidence.nodes {
            hide(&mut node.detail);
            node.fix.iter_mut().for_each(hide);
        }
        evidence.overrides.iter_mut().for_each(|over| hide(&mut over.reason));
        evidence.environment.values_mut().for_each(hide);
        evidence.receipts.iter_mut().flat_map(seeders::Receipt::texts_mut).for_each(hide);
        for answer in
            evidence.sql_gates.iter_mut().flat_map(|gate| gate.before.iter_mut().chain(&mut gate.after))
        {
            answer.error.iter_mut().for_each(hide);
            self.hide_json(&mut answer.value);
        }
        for record in &mut evidence.triage {
            hide(&mut record.seen);
            for look in &mut record.looks {
                hide(&mut look.what);
                hide(&mut look.output);
                look.error.iter_mut().for_each(hide);
            }
        }
        match &mut evidence.end {
            End::AbortedByGate { gate: text } | End::AbortedByStep { step: text } => hide(text),
            _ => {}
        }
        if let Some(load) = &mut evidence.load {
            self.hide_population(&mut load.on_time);
            self.hide_population(&mut load.late);
            load.teardown_failed.iter_mut().for_each(hide);
            load.scrapes.values_mut().for_each(|scrape| scrape.last_error.iter_mut().for_each(hide));
            let exhausted = std::mem::take(&mut load.health.exhausted);
            load.health.exhausted = exhausted.into_iter().map(|(what, n)| (self.hide(&what), n)).collect();
        }
    }

    /// Hides secrets in the texts of a value.
    fn hide_json(&self, value: &mut Json) {
        match value {
            Json::String(text) => *text = self.hide(text),
            Json::Array(items) => items.iter_mut().for_each(|item| self.hide_json(item)),
            Json::Object(fields) => fields.values_mut().for_each(|field| self.hide_json(field)),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn hide_population(&self, population: &mut Population) {
        for tag in population.series.iter_mut().flat_map(|series| series.tags.values_mut()) {
            *tag = self.hide(tag);
        }
    }
}

/// Percent-encoded as in a URL: unreserved characters stay.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn hide_word(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, tail) = rest.split_at(at);
        let after = &tail[word.len()..];
        let left = out.chars().chain(before.chars()).last();
        let alone = ![left, after.chars().next()].into_iter().flatten().any(char::is_alphanumeric);
        out.push_str(before);
        out.push_str(if alone { HIDDEN } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_secret_is_hidden() {
        let mut masker = Masker::default();
        for secret in ["s3cr/et\"x", "s3cr", "ab"] {
            masker.add(secret);
        }
        for (text, want) in [
            ("Bearer s3cr/et\"x!", "Bearer •••!"),
            (r#"{"a":"s3cr/et\"x"}"#, r#"{"a":"•••"}"#),
            ("?key=s3cr%2Fet%22x&b=1", "?key=•••&b=1"),
            ("Basic czNjci9ldCJ4", "Basic •••"),
            ("only s3cr", "only •••"),
            ("pin ab, cab, ab", "pin •••, cab, •••"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(masker.hide(text), want);
        }
        assert!(!format!("{masker:?}").contains("s3cr"));
    }

    #[test]
    fn of_thousands_of_secrets_each_is_hidden_as_a_word() {
        let mut masker = Masker::default();
        let keys =
            (0..10_000).map(|n| format!("key-{n:05}/Z=")).chain(["two words".to_owned(), "ab".to_owned()]);
        masker.add_many(keys);
        for (text, want) in [
            ("Bearer key-00007/Z=!", "Bearer •••!"),
            ("key-09999/Z=", "•••"),
            (r#"{"key":"key-00000/Z=","n":1}"#, r#"{"key":"•••","n":1}"#),
            ("/me?key=key-00000/Z=&b", "/me?key=•••&b"),
            ("two words, ab", "•••, •••"),
            ("key-10000/Z=", "key-10000/Z="),
        ] {
            assert_eq!(masker.hide(text), want, "{text}");
        }
    }

    #[test]
    fn evidence_is_masked_and_its_graph_left_alone() {
        let mut graph = crate::testing::graph(vec![crate::testing::p95()]);
        let input = |secret| planc::graph::OpenInput { secret, env: None, default: Some("hunter2".into()) };
        graph.open_inputs = [("key".into(), input(true)), ("pet".into(), input(false))].into();
        let mut evidence = crate::testing::evidence(&graph);
        evidence.end = End::AbortedByStep { step: "login hunter22".into() };
        evidence.environment.insert("url".into(), "http://x:hunter22@y".into());
        if let Some(load) = &mut evidence.load {
            load.on_time.series[0].tags.insert("url".into(), "/?t=hunter22".into());
            load.health.exhausted.insert("hunter22".into(), 1);
        }
        let mut masker = Masker::default();
        masker.add("hunter22");
        masker.add("scenario");
        masker.hide_evidence(&mut evidence);
        assert!(!serde_json::to_string(&evidence).expect("evidence").contains("hunter22"));
        assert_eq!(evidence.graph.open_inputs["key"].default.as_deref(), Some(HIDDEN));
        assert_eq!(evidence.graph_id, graph.id(), "of the graph that was applied");
        graph.open_inputs.clone_from(&evidence.graph.open_inputs);
        assert_eq!(graph.open_inputs["pet"].default.as_deref(), Some("hunter2"));
        assert_eq!(evidence.graph, graph, "a secret that is a common word does not tear the graph");
    }
}
