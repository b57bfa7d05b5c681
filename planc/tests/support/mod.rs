//! What the tests of the compiler share.
#![allow(dead_code, clippy::disallowed_methods)] // Each test crate uses a part, and tests read files.

pub(crate) mod mutate;

use planc::{Compilation, Files};

/// The file system.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// One text, whatever the path.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Files for Text<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        if path == "plan.yaml" { Ok(self.0.to_string()) } else { Err("no such file".into()) }
    }
}

/// A text and the script that it names.
struct WithScript<'a>(&'a str, &'a str);

impl Files for WithScript<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "seed.sql" => Ok(self.1.to_string()),
            _ => Text(self.0).read(path),
        }
    }
}

/// As the command line checks, on a day that stays.
pub(crate) fn options() -> planc::Options {
    planc::Options { today: Some(jiff::civil::date(2026, 11, 21)), ..planc::Options::default() }
}

/// A diagnostic, short.
pub(crate) struct Told {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) level: &'static str,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// All diagnostics in order.
pub(crate) fn told(compilation: &Compilation) -> Vec<Told> {
    let sources = &compilation.sources;
    compilation
        .diagnostics
        .clone()
        .into_sorted()
        .into_iter()
        .map(|diagnostic| {
            let file = sources.file(diagnostic.primary.span.file);
            let (line, column) = file.line_column(diagnostic.primary.span.start as usize);
            let profiles = match diagnostic.profiles.as_slice() {
                [] => String::new(),
                profiles => format!(" [{}]", profiles.join(", ")),
            };
            Told {
                file: file.name.clone(),
                line,
                column,
                level: diagnostic.level.as_str(),
                code: diagnostic.code.id,
                message: format!("{}{profiles}", diagnostic.message),
            }
        })
        .collect()
}

/// `line:column level code message` of each diagnostic of a text.
pub(crate) fn check(text: &str) -> String {
    check_with(text, "")
}

/// The same with a `seed.sql` beside the text.
pub(crate) fn check_with(text: &str, script: &str) -> String {
    let compilation = planc::check(&WithScript(text, script), "plan.yaml", &options());
    let lines = told(&compilation);
    lines.iter().map(|t| format!("{}:{} {} {} {}\n", t.line, t.column, t.level, t.code, t.message)).collect()
}

/// A YAML text as an editor's validator sees it.
pub(crate) fn as_json(text: &str) -> serde_json::Value {
    let mut sources = planc::source::SourceMap::default();
    let file = sources.add("plan.yaml", text);
    let node = planc::yaml::parse(&sources, file, &mut planc::diagnostic::Diagnostics::default());
    plain(&node.expect("YAML"))
}

fn plain(node: &planc::yaml::Node) -> serde_json::Value {
    use planc::yaml::NodeKind;
    match &node.kind {
        NodeKind::Null => serde_json::Value::Null,
        NodeKind::Bool(value) => (*value).into(),
        NodeKind::Scalar { text, plain: true } => match text.parse::<serde_json::Number>() {
            Ok(number) => number.into(),
            Err(_) => text.as_str().into(),
        },
        NodeKind::Scalar { text, .. } => text.as_str().into(),
        NodeKind::Sequence(items) => items.iter().map(plain).collect(),
        NodeKind::Mapping(entries) => {
            let fields = entries.iter().map(|entry| (entry.key.value.clone(), plain(&entry.value)));
            serde_json::Value::Object(fields.collect())
        }
    }
}
