//! Telling a run: one file a format, all over the same evidence and verdict. A new format is a file here
//! and a line in [`REPORTS`].

mod baseline;
mod html;
pub(crate) mod junit;
mod markdown;
mod metrics;
mod summary;
pub mod template;
pub mod terminal;
mod traces;

use crate::evidence::Evidence;
use crate::judge::Verdict;

/// A format.
pub struct Report {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Writes it.
    pub render: fn(&Evidence, &Verdict) -> String,
}

/// Every format.
pub const REPORTS: &[Report] = &[
    Report { name: "terminal", about: "as `runner apply` prints it", render: terminal::whole },
    Report { name: "json", about: "k6's summary shape, and the verdict", render: summary::render },
    Report { name: "markdown", about: "fit for a pull request comment", render: markdown::render },
    Report { name: "junit", about: "JUnit XML, one test case a gate", render: junit::render },
    Report { name: "html", about: "one page that needs no network", render: html::render },
];

/// The format of this name.
pub fn by_name(name: &str) -> Option<&'static Report> {
    REPORTS.iter().find(|report| report.name == name)
}

/// The files that a plan asks for, as (path, format).
pub fn asked(report: &planc::graph::Report) -> Vec<(String, &'static Report)> {
    let wanted = [
        (&report.summary, "json"),
        (&report.junit, "junit"),
        (&report.markdown, "markdown"),
        (&report.html, "html"),
    ];
    wanted.into_iter().filter_map(|(path, name)| Some((path.clone()?, by_name(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::HealthSecond;
    use crate::judge::judge;
    use crate::testing::{errors, evidence, graph, p95, trend};

    fn failed() -> (Evidence, Verdict) {
        let graph = graph(vec![p95(), errors()]);
        let mut evidence = evidence(&graph);
        let load = evidence.load.as_mut().expect("load");
        load.on_time.series[0].samples = crate::evidence::Samples::Trend(trend(20_000, 900, 100));
        load.on_time.series[0].tags.insert("url".into(), "/<a>&\"b\"".into());
        let verdict = judge(&graph, &evidence);
        (evidence, verdict)
    }

    #[test]
    fn every_report_says_verdict_gate_and_value() {
        let (evidence, verdict) = failed();
        for report in REPORTS {
            let text = (report.render)(&evidence, &verdict);
            let plain = anstream::adapter::strip_str(&text).to_string();
            for wanted in ["p(95) ", "http_req_duration", "99"] {
                assert!(plain.contains(wanted), "{} lacks {wanted}:\n{plain}", report.name);
            }
        }
    }

    #[test]
    fn every_gate_line_says_how_sure_it_is() {
        let near = crate::evidence::Samples::Rate { trues: 9, total: 1_000 };
        let graph = graph(vec![errors()]);
        let mut evidence = evidence(&graph);
        evidence.load.as_mut().expect("load").on_time.series[1].samples = near;
        // JUnit tells only what did not pass.
        let failing = {
            let mut graph = graph.clone();
            graph.gates[0].confident = true;
            judge(&graph, &evidence)
        };
        let passing = judge(&graph, &evidence);
        for report in REPORTS {
            let verdict = if report.name == "junit" { &failing } else { &passing };
            let text = (report.render)(&evidence, verdict);
            let plain = anstream::adapter::strip_str(&text).to_string();
            let wanted = match report.name {
                "json" => [
                    "\"bound_text\": \"< 1%\"",
                    "\"value_text\": \"0.90%\"",
                    "\"samples\": 1000",
                    "\"interval_text\": \"0.47% … 1.70%\"",
                    "\"margin_percent\": 1",
                    "\"within_noise\": true",
                ],
                _ => ["1%", "0.90%", "1", "0.47% … 1.70%", "10%", "within noise"],
            };
            for wanted in wanted {
                assert!(
                    plain.replace("&lt;", "<").contains(wanted),
                    "{} lacks {wanted}:\n{plain}",
                    report.name
                );
            }
        }
    }

    #[test]
    fn the_sums_and_the_generator_stand_in_every_report_for_people_and_programs() {
        let graph = graph(vec![p95(), errors()]);
        let mut evidence = evidence(&graph);
        let load = evidence.load.as_mut().expect("load");
        let record = load.scenarios.get_mut("s").expect("the scenario");
        (record.finished, record.failed, record.interrupted) = (990, 7, 3);
        let other = record.clone();
        load.scenarios.insert("t".into(), other);
        load.health.seconds = (1..=4)
            .map(|second: u32| HealthSecond {
                at_us: u64::from(second) * 1_000_000,
                cpu_centicores: Some(second * 10),
                run_queue_ppm: Some(200_000),
                starts_us: Some([10, 100, 1_000]),
                ..HealthSecond::default()
            })
            .collect();
        let verdict = judge(&graph, &evidence);
        for report in REPORTS.iter().filter(|report| report.name != "junit") {
            let text = (report.render)(&evidence, &verdict);
            let plain = anstream::adapter::strip_str(&text).to_string();
            if report.name == "json" {
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let all = &value["load"]["all"];
                assert_eq!((&all["planned"], &all["started"]), (&2_000.into(), &2_000.into()));
                let ends = [&all["finished"], &all["failed"], &all["cut_off"]];
                assert_eq!(ends, [&1_980, &14, &6].map(|n| serde_json::json!(n)).each_ref());
                assert_eq!(value["load"]["scenarios"]["t"]["failed"], 7);
                let cpu = &value["generator"]["by_second"]["cpu_centicores"];
                assert_eq!((&cpu["mean"], &cpu["max"]), (&25.into(), &40.into()));
                continue;
            }
            for wanted in
                ["planned 2,000 = started 2,000", "finished 990 + failed 7 + cut off 3", "run queue"]
            {
                assert!(plain.contains(wanted), "{} lacks {wanted}:\n{plain}", report.name);
            }
        }
    }

    #[test]
    fn the_summary_has_k6s_shape() {
        let (evidence, verdict) = failed();
        let text = summary::render(&evidence, &verdict);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let metric = &value["metrics"]["http_req_duration"];
        assert_eq!(metric["type"], "trend");
        assert_eq!(metric["contains"], "time");
        assert_eq!(metric["values"]["med"], 20);
        assert_eq!(metric["values"]["p(95)"], serde_json::Value::Null);
        let narrowed = &value["metrics"]["http_req_duration{scenario:s}"];
        assert_eq!(narrowed["thresholds"]["p(95) < 500ms"]["ok"], false);
        let failed = &value["metrics"]["http_req_failed{scenario:s}"];
        assert_eq!(failed["thresholds"]["rate < 1%"]["ok"], true);
        assert_eq!(value["metrics"]["http_reqs"]["values"]["rate"], 100);
        assert_eq!(value["metrics"]["checks"]["values"]["passes"], 1_000);
        assert_eq!(value["state"]["testRunDurationMs"], 10_000);
        assert_eq!(value["verdict"]["exit"], 99);
    }

    #[test]
    fn xml_and_html_are_escaped() {
        let (mut evidence, _) = failed();
        evidence.graph.plan = "a<b>&\"c\"".into();
        let verdict = judge(&evidence.graph, &evidence);
        for text in [junit::render(&evidence, &verdict), html::render(&evidence, &verdict)] {
            assert!(!text.contains("a<b>"), "{text}");
            assert!(text.contains("a&lt;b&gt;&amp;"), "{text}");
        }
    }
}
