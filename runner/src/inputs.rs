//! Inputs that get their value when the run starts.

use crate::evidence::{NodeOutcome, NodeRecord};
use crate::mask::Masker;
use crate::values::Values;
use planc::graph::{ExecutionGraph, Json};
use planc::placeholder::placeholder;
use std::collections::BTreeMap;

/// Gives every input its value; tells each that is missing or a placeholder as a refused guard.
pub fn resolve(
    graph: &ExecutionGraph,
    set: &BTreeMap<String, String>,
    env: &BTreeMap<String, String>,
    values: &mut Values,
    masker: &mut Masker,
) -> Vec<NodeRecord> {
    let mut refused = Vec::new();
    for (name, value) in &graph.inputs {
        if let Json::String(text) = value
            && let Some(why) = placeholder(text)
        {
            refused.push(refusal(name, NodeOutcome::Different, why, None));
        }
        values.set(format!("inputs.{name}"), value.clone());
    }
    for (name, input) in &graph.open_inputs {
        let from_env = input.env.as_ref().and_then(|variable| env.get(variable));
        let found = set.get(name).or(from_env).or(input.default.as_ref());
        let way = match &input.env {
            Some(variable) => format!("set the environment variable {variable}"),
            None => format!("give it with `--set {name}=…`"),
        };
        match found {
            None => refused.push(refusal(name, NodeOutcome::Absent, "it has no value", Some(way))),
            // `KEY=` in the environment gives nothing that anyone could be let in with.
            Some(text) if input.secret && text.trim().is_empty() => {
                refused.push(refusal(name, NodeOutcome::Absent, "it is empty", Some(way)));
            }
            Some(text) => {
                if input.secret {
                    masker.add(text);
                }
                if let Some(why) = placeholder(text) {
                    refused.push(refusal(name, NodeOutcome::Different, why, Some(way)));
                }
                values.set(format!("inputs.{name}"), text.as_str());
            }
        }
    }
    refused
}

fn refusal(name: &str, outcome: NodeOutcome, why: &str, fix: Option<String>) -> NodeRecord {
    NodeRecord {
        kind: "guard".into(),
        name: format!("input `{name}`"),
        outcome,
        detail: why.into(),
        fix,
        milliseconds: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::OpenInput;

    #[test]
    fn command_line_before_environment_before_default() {
        let mut graph = crate::testing::graph(Vec::new());
        let input = |env: &str, default: Option<&str>| OpenInput {
            secret: true,
            env: Some(env.into()),
            default: default.map(String::from),
        };
        graph.open_inputs = BTreeMap::from([
            ("a".into(), input("A", Some("default-a"))),
            ("b".into(), input("B", Some("default-b"))),
            ("c".into(), input("C", Some("default-c"))),
            ("d".into(), input("D", None)),
        ]);
        let set = BTreeMap::from([("a".into(), "set-a".into())]);
        let env = BTreeMap::from([("A".into(), "env-a".into()), ("B".into(), "env-b".into())]);
        let (mut values, mut masker) = (Values::new(1, || 0), Masker::default());
        let refused = resolve(&graph, &set, &env, &mut values, &mut masker);
        for (name, want) in [("a", "set-a"), ("b", "env-b"), ("c", "default-c")] {
            assert_eq!(values.map()[&format!("inputs.{name}")], want);
        }
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].fix.as_deref(), Some("set the environment variable D"));
        assert_eq!(masker.hide("set-a env-b default-c"), "••• ••• •••");
    }

    #[test]
    fn what_stands_for_a_value_is_refused_wherever_it_is_from() {
        let mut graph = crate::testing::graph(Vec::new());
        let names = ["nil", "bearer", "word", "empty", "blank", "fine"];
        graph.open_inputs = names
            .iter()
            .map(|name| {
                let env = Some(name.to_uppercase());
                (name.to_string(), OpenInput { secret: true, env, default: None })
            })
            .collect();
        let env = [
            ("NIL", "00000000-0000-0000-0000-000000000000"),
            ("BEARER", "Bearer "),
            ("EMPTY", ""),
            ("BLANK", " "),
            ("FINE", "8f14e45f-ceea-467f-a0e6-9e5b5a8b7c1d"),
        ];
        let env = env.map(|(name, value)| (name.to_string(), value.to_string())).into();
        let set = BTreeMap::from([("word".to_string(), "replace-me".to_string())]);
        let (mut values, mut masker) = (Values::new(1, || 0), Masker::default());
        let refused = resolve(&graph, &set, &env, &mut values, &mut masker);
        let told: Vec<(&str, NodeOutcome)> =
            refused.iter().map(|node| (node.name.as_str(), node.outcome)).collect();
        let (absent, different) = (NodeOutcome::Absent, NodeOutcome::Different);
        assert_eq!(
            told,
            [
                ("input `bearer`", different),
                ("input `blank`", absent),
                ("input `empty`", absent),
                ("input `nil`", different),
                ("input `word`", different),
            ]
        );
        assert!(refused.iter().all(|node| node.fix.is_some()));
    }
}
