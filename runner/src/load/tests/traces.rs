//! `traceparent`: what the server sees is what the evidence says.

use super::*;

fn traced(ppm: u32, steps: Vec<Step>, demand: Demand) -> ExecutionGraph {
    let mut plan = graph(vec![scenario("s", demand, steps)]);
    plan.scenarios[0].trace = Some(Trace { sample: PartsPerMillion(ppm) });
    plan
}

/// Trace id and flags of every request to a path, as the server saw them.
fn seen(server: &Server, path: &str) -> Vec<(String, String)> {
    let requests = server.requests();
    let of = requests.iter().filter(|seen| seen.line.split(' ').nth(1) == Some(path));
    of.filter_map(|seen| {
        let header = seen.headers.lines().find_map(|line| line.strip_prefix("traceparent: "))?;
        let parts: Vec<&str> = header.split('-').collect();
        Some((parts[1].to_owned(), parts[3].to_owned()))
    })
    .collect()
}

#[test]
fn the_ids_in_evidence_are_those_that_the_server_saw() {
    let server = Server::start(|seen| if seen.line.contains("/hang") { Deed::Hang } else { ok("") });
    let hang = edit(get(1, "/hang"), |step| step.request.timeout = Some(Duration::from_millis(50)));
    let (record, _) = load(traced(1_000_000, vec![get(0, "/"), hang], each(1, 4, true)), &server.url);
    let of = |step| record.exemplars.iter().filter(move |one| one.step == step);
    for (step, path) in [(0, "/"), (1, "/hang")] {
        let ids = seen(&server, path);
        assert_eq!(ids.len(), 4, "every request carries one");
        assert!(ids.iter().all(|(_, flags)| flags == "01"), "{ids:?}");
        assert_eq!(of(step).count(), 3, "the slowest three are kept");
        for one in of(step) {
            assert!(ids.iter().any(|(id, _)| *id == one.trace_id), "{} of {path}", one.trace_id);
        }
    }
    assert!(of(0).all(|one| one.status == 200 && one.outcome == "ok" && one.name == "GET 0"));
    assert!(of(1).all(|one| one.status == 0 && one.outcome == "transport" && one.duration_us >= 50_000));
    assert!(record.exemplars.iter().all(|one| one.stage.is_none() && one.scenario == "s"));
}

#[test]
fn a_request_that_is_cut_off_leaves_its_trace() {
    let server = Server::start(|_| Deed::Hang);
    let users = Demand::Users {
        start_vus: 1,
        pieces: vec![UserPiece { target: 1, duration: Duration::from_millis(50), hold: None }],
        graceful_ramp_down: Duration::ZERO,
    };
    let (record, _) = load(traced(1_000_000, vec![get(0, "/")], users), &server.url);
    let [one] = record.exemplars.as_slice() else { panic!("{:?}", record.exemplars) };
    assert_eq!(one.outcome, "censored");
    assert_eq!(one.trace_id, seen(&server, "/")[0].0);
}

#[test]
fn stages_are_told_apart() {
    let server = Server::start(|_| ok(""));
    let piece =
        |target| RatePiece { target: per_second(target), duration: Duration::from_millis(400), hold: None };
    let demand = Demand::Arrivals {
        start_rate: per_second(40),
        pieces: vec![piece(40), piece(40)],
        pre_allocated_vus: 20,
        max_vus: 20,
    };
    let (record, _) = load(traced(1_000_000, vec![get(0, "/")], demand), &server.url);
    let stages: Vec<Option<u32>> = record.exemplars.iter().map(|one| one.stage).collect();
    assert_eq!(stages, [1, 1, 1, 2, 2, 2].map(Some), "three of each");
}

#[test]
fn without_trace_nothing_is_sent_and_with_a_share_the_rest_is_marked() {
    let server = Server::start(|_| ok(""));
    let (record, _) = load(graph(vec![scenario("s", each(1, 3, true), vec![get(0, "/")])]), &server.url);
    assert_eq!((seen(&server, "/").len(), record.exemplars.len()), (0, 0));
    let (record, _) = load(traced(1, vec![get(0, "/share")], each(1, 20, true)), &server.url);
    let ids = seen(&server, "/share");
    assert_eq!(ids.len(), 20);
    assert!(ids.iter().all(|(_, flags)| flags == "00"), "one in a million: {ids:?}");
    assert_eq!(record.exemplars, [], "what is not recorded is no example");
}
