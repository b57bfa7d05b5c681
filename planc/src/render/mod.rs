//! Diagnostics as text, one file per format. Nothing here prints; a caller asks for colour or gets none.

mod github;
mod json;
mod terminal;

use crate::diagnostic::{Diagnostic, Diagnostics, Level};
use crate::source::{FileId, SourceMap, Span};

/// How diagnostics can be written.
pub struct Format {
    /// What `--format` takes.
    pub name: &'static str,
    /// Whom it is for.
    pub about: &'static str,
    /// Writes all diagnostics and the summary.
    pub render: fn(&SourceMap, &[Diagnostic], &Summary, color: bool) -> String,
}

/// All formats; the first is the default.
pub const FORMATS: &[Format] = &[
    Format { name: "terminal", about: "for people, in rustc's layout", render: terminal::render },
    Format { name: "json", about: "one JSON object, for programs", render: json::render },
    Format {
        name: "github",
        about: "workflow commands that GitHub shows in the diff",
        render: github::render,
    },
];

/// How much was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of errors.
    pub errors: usize,
    /// Number of warnings.
    pub warnings: usize,
    /// Number of files read.
    pub files: usize,
}

impl Summary {
    /// Counts diagnostics over the files of a map.
    pub fn of(sources: &SourceMap, diagnostics: &[Diagnostic]) -> Self {
        let errors = diagnostics.iter().filter(|d| d.level == Level::Error).count();
        Summary { errors, warnings: diagnostics.len() - errors, files: sources.files().count() }
    }
}

/// The format of a name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// Puts several compilations into one: files of the same name and text become one file, and what
/// several of them say about it is said once. Sorted by place.
pub fn merge(parts: Vec<(SourceMap, Diagnostics)>) -> (SourceMap, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let mut all = Diagnostics::default();
    for (part, diagnostics) in parts {
        let ids: Vec<FileId> = part
            .files()
            .map(|(_, file)| {
                let known = sources.files().find(|(_, f)| f.name == file.name && f.text == file.text);
                known.map(|(id, _)| id).unwrap_or_else(|| sources.add(file.name.clone(), file.text.clone()))
            })
            .collect();
        let moved = |span: &mut Span| span.file = ids[usize::from(span.file.0)];
        for mut diagnostic in diagnostics.into_sorted() {
            moved(&mut diagnostic.primary.span);
            diagnostic.secondary.iter_mut().for_each(|label| moved(&mut label.span));
            if let Some(suggestion) = &mut diagnostic.suggestion {
                moved(&mut suggestion.span);
            }
            all.push(diagnostic);
        }
    }
    (sources, all.into_sorted())
}

/// `1 error`, `2 errors`.
fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::parse_template;
    use crate::yaml;

    /// One plan with a mistake of each look: two labels, a fix, a note, profiles.
    fn sample() -> (SourceMap, Vec<Diagnostic>) {
        let text = "plan: demo\ntarget: {{ x }}\nrate: \"é{{ n | padd(5) }}\"\nplan: again\n";
        let mut sources = SourceMap::default();
        let file = sources.add("plans/demo.yaml", text);
        let mut diagnostics = Diagnostics::default();
        let node = yaml::parse(&sources, file, &mut diagnostics).expect("parses");
        let rate = node.get("rate").expect("there");
        let place = crate::expr::place_in(&sources, rate);
        parse_template("é{{ n | padd(5) }}", &place, &mut diagnostics);
        let code = crate::diagnostic::Code { id: "P0999", name: "sample" };
        let mut warning = Diagnostic::warning(code, rate.span, "50%: odd, really\nyes")
            .label("here")
            .note("2 × 3 = 6")
            .help("leave it");
        warning.profiles = vec!["stress".into()];
        diagnostics.push(warning);
        merge(vec![(sources.clone(), diagnostics.clone()), (sources, diagnostics)])
    }

    fn rendered(name: &str) -> String {
        let (sources, diagnostics) = sample();
        let summary = Summary::of(&sources, &diagnostics);
        (format(name).expect("known").render)(&sources, &diagnostics, &summary, false)
    }

    #[test]
    fn terminal() {
        insta::assert_snapshot!(rendered("terminal"));
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(rendered("json"));
    }

    #[test]
    fn github() {
        insta::assert_snapshot!(rendered("github"));
    }

    #[test]
    fn nothing_found_says_so() {
        let mut sources = SourceMap::default();
        sources.add("a.yaml", "");
        let summary = Summary::of(&sources, &[]);
        let text = |name| (format(name).expect("known").render)(&sources, &[], &summary, false);
        assert_eq!(text("terminal"), "no problems in 1 file\n");
        assert_eq!(text("github"), "");
    }

    #[test]
    fn colour_only_when_asked() {
        let (sources, diagnostics) = sample();
        let summary = Summary::of(&sources, &diagnostics);
        assert!((FORMATS[0].render)(&sources, &diagnostics, &summary, true).contains('\u{1b}'));
        assert!(!rendered("terminal").contains('\u{1b}'));
    }
}
