//! Diagnostics as text, one file per format. Nothing here prints; a caller asks for colour or gets none.

mod coverage;
mod github;
mod json;
mod sarif;
mod terminal;

use crate::allows::Allowed;
use crate::coverage::Coverage;
use crate::diagnostic::{Diagnostic, Diagnostics, Level};
use crate::source::{FileId, SourceMap, Span};
use crate::{Compilation, Page};

/// What was found in one or several plans: all that a format needs.
#[derive(Debug, Default)]
pub struct Findings {
    /// The texts that the places lie in.
    pub sources: SourceMap,
    /// Sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// What would be told if the plans did not allow it.
    pub allowed: Vec<Allowed>,
    /// For each plan, by its path.
    pub coverage: Vec<(String, Vec<Coverage>)>,
}

/// How to show them.
#[derive(Debug, Clone, Copy, Default)]
pub struct View {
    /// With colours.
    pub color: bool,
    /// With the table of gate coverage, where a format has room for it only on demand.
    pub coverage: bool,
}

/// How findings can be written.
pub struct Format {
    /// What `--format` takes.
    pub name: &'static str,
    /// Whom it is for.
    pub about: &'static str,
    /// Writes all findings and the summary.
    pub render: fn(&Findings, View) -> String,
}

/// All formats; the first is the default.
pub const FORMATS: &[Format] = &[
    Format { name: "terminal", about: "for people, in rustc's layout", render: terminal::render },
    Format { name: "json", about: "one JSON object, for programs", render: json::render },
    Format { name: "sarif", about: "SARIF 2.1.0, for code scanning", render: sarif::render },
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
    /// Number of findings that are allowed.
    pub allowed: usize,
    /// Number of files read.
    pub files: usize,
}

impl Findings {
    /// What one compilation found.
    pub fn of(path: &str, compilation: Compilation) -> Self {
        Findings {
            sources: compilation.sources,
            diagnostics: compilation.diagnostics.into_sorted(),
            allowed: compilation.allowed,
            coverage: vec![(path.to_string(), compilation.coverage)],
        }
    }

    /// Diagnostics alone.
    pub fn from_diagnostics(sources: SourceMap, diagnostics: Diagnostics) -> Self {
        Findings { sources, diagnostics: diagnostics.into_sorted(), ..Findings::default() }
    }

    /// Puts several into one: files of the same name and text become one file, and what several of them say about it is
    /// said once.
    pub fn merge(parts: impl IntoIterator<Item = Findings>) -> Self {
        let mut merged = Findings::default();
        let mut all = Diagnostics::default();
        let mut known = std::collections::BTreeSet::new();
        for part in parts {
            let ids = merged.take_in(&part.sources);
            let moved = |span: &mut Span| span.file = ids[usize::from(span.file.0)];
            let move_all = |diagnostic: &mut Diagnostic| {
                moved(&mut diagnostic.primary.span);
                diagnostic.secondary.iter_mut().for_each(|label| moved(&mut label.span));
                if let Some(suggestion) = &mut diagnostic.suggestion {
                    moved(&mut suggestion.span);
                }
            };
            for mut diagnostic in part.diagnostics {
                move_all(&mut diagnostic);
                all.push(diagnostic);
            }
            for mut allowed in part.allowed {
                move_all(&mut allowed.diagnostic);
                let Diagnostic { code, primary, message, .. } = &allowed.diagnostic;
                if known.insert((*code, primary.span, message.clone())) {
                    merged.allowed.push(allowed);
                }
            }
            for (path, mut coverage) in part.coverage {
                coverage.iter_mut().flat_map(|one| &mut one.steps).for_each(|step| moved(&mut step.span));
                merged.coverage.push((path, coverage));
            }
        }
        merged.allowed.sort_by_key(|allowed| (allowed.diagnostic.primary.span, allowed.diagnostic.code));
        Findings { diagnostics: all.into_sorted(), ..merged }
    }

    /// The ids that another map's files have in this one.
    fn take_in(&mut self, other: &SourceMap) -> Vec<FileId> {
        let sources = &mut self.sources;
        let mut id = |file: &crate::source::SourceFile| {
            let known = sources.files().find(|(_, f)| f.name == file.name && f.text == file.text);
            known.map(|(id, _)| id).unwrap_or_else(|| sources.add(file.name.clone(), file.text.clone()))
        };
        other.files().map(|(_, file)| id(file)).collect()
    }

    /// Counts.
    pub fn summary(&self) -> Summary {
        let errors = self.diagnostics.iter().filter(|d| d.level == Level::Error).count();
        Summary {
            errors,
            warnings: self.diagnostics.len() - errors,
            allowed: self.allowed.len(),
            files: self.sources.files().count(),
        }
    }
}

/// The format of a name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// Findings as a person at a terminal reads them.
pub fn terminal(findings: &Findings, view: View) -> String {
    terminal::render(findings, view)
}

/// What a page says of its code before the first example, as one text.
fn gist(page: &Page) -> String {
    let body = page.text.split_once('\n').map_or("", |(_, body)| body);
    let body = body.split("\nWrong:").next().unwrap_or(body).split("\n```").next().unwrap_or(body);
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::parse_template;
    use crate::yaml;

    /// One plan with a mistake of each look: two labels, a fix, a note, profiles.
    fn sample() -> Findings {
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
        let mut allowed = Diagnostic::warning(crate::codes::LIVE_MISFIT, rate.span, "let be").note("1 < 2");
        allowed.help = Some("nothing".into());
        let found = || Findings {
            allowed: vec![Allowed {
                diagnostic: allowed.clone(),
                reason: "known, see #12".into(),
                until: Some(jiff::civil::date(2027, 1, 31)),
            }],
            coverage: vec![("plans/demo.yaml".into(), vec![coverage(rate.span)])],
            ..Findings::from_diagnostics(sources.clone(), diagnostics.clone())
        };
        Findings::merge([found(), Findings { coverage: Vec::new(), ..found() }])
    }

    fn coverage(span: Span) -> Coverage {
        let step = |name: &str, latency: &[&str], smoke| crate::coverage::StepCoverage {
            scenario: "storm".into(),
            step: name.into(),
            span,
            smoke,
            latency: latency.iter().map(|gate| gate.to_string()).collect(),
            errors: vec!["http_req_failed rate < 1%".into()],
            expectations: vec!["status is 200".into(), "capture id".into()],
            setup: false,
            id: crate::graph::StepId(0),
            tag: name.into(),
            measure: "http_req_duration",
        };
        let gates = ["http_req_duration p(95) < 500ms"];
        Coverage {
            profiles: vec!["stress".into()],
            steps: vec![step("GET /x", &gates, false), step("pay", &[], false), step("ping", &[], true)],
        }
    }

    fn rendered(name: &str) -> String {
        (format(name).expect("known").render)(&sample(), View { color: false, coverage: true })
    }

    #[test]
    fn sarif() {
        insta::assert_snapshot!(rendered("sarif").replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn for_people() {
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
        let findings = Findings { sources, ..Findings::default() };
        let text = |name| (format(name).expect("known").render)(&findings, View::default());
        assert_eq!(text("terminal"), "no problems in 1 file\n");
        assert_eq!(text("github"), "");
    }

    #[test]
    fn colour_only_when_asked() {
        assert!(terminal(&sample(), View { color: true, coverage: true }).contains('\u{1b}'));
        assert!(!rendered("terminal").contains('\u{1b}'));
    }
}
