//! Where reports go beside files.

use super::Resolver;
use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{Grafana, Prometheus, Report, Template};
use std::time::Duration;

/// As k6 pushes.
const EVERY: Duration = Duration::from_secs(5);

impl Resolver<'_> {
    pub(super) fn report(&mut self) -> Report {
        let plan = self.plan;
        let written = &plan.report;
        Report {
            prometheus: written.prometheus.as_ref().and_then(|one| self.prometheus(one)),
            grafana: written.grafana.as_ref().and_then(|one| self.grafana(one)),
            baseline: self.baseline(),
            ..written.files.clone()
        }
    }

    fn prometheus(&mut self, written: &ast::Prometheus) -> Option<Prometheus> {
        let scope = self.world_scope().plain(["run_id"]);
        let url = written.url.as_ref().and_then(|url| self.http_url(url));
        let token = written.token.as_ref().map(|token| self.text(token, &scope));
        let headers = self.texts(&written.headers, &scope);
        let query_url = written.query_url.as_ref().and_then(|url| self.http_url(url));
        let every = self.typed_or(written.every.as_ref(), EVERY);
        if let Some(typed) =
            written.every.as_ref().filter(|_| every.as_secs() == 0 || every.subsec_nanos() != 0)
        {
            self.diagnostics.push(
                Diagnostic::error(
                    codes::BAD_VALUE,
                    typed.span(),
                    "metrics are pushed every few whole seconds",
                )
                .help("write `every: 5s`"),
            );
        }
        Some(Prometheus { url: url?, token, headers, every, query_url })
    }

    fn grafana(&mut self, written: &ast::Grafana) -> Option<Grafana> {
        let scope = self.world_scope().plain(["run_id"]);
        let url = written.url.as_ref().and_then(|url| self.http_url(url));
        let token = written.token.as_ref().map(|token| self.text(token, &scope));
        Some(Grafana { url: url?, token })
    }

    /// An absolute URL, as far as it is known.
    fn http_url(&mut self, text: &ast::Text) -> Option<Template> {
        let scope = self.world_scope();
        let url = self.text(text, &scope);
        let starts_well = url.segments.first().is_some_and(|first| match first {
            crate::expr::Segment::Literal(text) => {
                text.starts_with("http://") || text.starts_with("https://")
            }
            crate::expr::Segment::Slot(_) => true,
        });
        if !starts_well {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, text.span, "this is not an absolute HTTP URL")
                    .help("write `http://host:port/…`"),
            );
            return None;
        }
        Some(url)
    }
}
