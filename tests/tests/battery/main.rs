//! The battery: what must never end green, each case with the verdict, the exit code and the words that name its
//! cause. A row is a test; `tests/battery/README.md` says how to add one.

mod battery_stall;
mod deeds;
mod scripts;
mod stage;

use deeds::*;
use scripts::*;
use stage::Fault::{
    self, Deed, Judged, Nothing, Plan, Server, ServerAfterOne, ServerAtOnce, Wire, WireAtOnce, WireFor,
};
use std::time::Duration;
use tests::proxy::Wire::{Answers, CutAfter, HalfOpen, Hang, Late, Refuse, Reset, ResetReused, Trickle};

// Plans with other inputs.
const SMALL_POOL: &str =
    "open --set duration=6s --set rate=50/s --set max_vus=20 --set timeout=10s --set p95=400ms";
const PATIENT: &str = "open --set lateness=250ms --set p95=2s --set timeout=5s --set max_vus=600";
const NO_TIMEOUT: &str = "closed --set timeout=60s";
const FLEET: &str = "../plans/external";
const SMALL_FLEET: &str = "../plans/external --set agents=400";
const NO_FLEET: &str = "../plans/external --set agents=0";
const SOCKETS: &str = "../plans/sockets --set lateness=2s";
const WRONG_NAME: &str = "secure --set name=wrong.test";
const OPEN_10_MS: &str = "open --set lateness=10ms";
const CLOSED_10_MS: &str = "closed --set lateness=10ms";

// Faults with their figures.
const TRICKLE: Fault = Wire(Trickle { bytes: 4, every: Duration::from_millis(50) });
const TOO_LARGE: Fault = Wire(Answers("HTTP/1.1 413 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
const SLOW: Fault = Wire(Late(Duration::from_millis(400)));
const UNRESOLVED: Fault = Plan("\"{{ inputs.base_url }}\"", NO_SUCH_NAME);
const GATE_TWICE: Fault = Plan(
    "http_req_failed{scenario:reads}: [\"rate < 1%\"]",
    "http_req_duration{scenario:reads}: [\"p(95) < 2s\"]",
);
const NO_ROWS: Fault = Plan("rows_from: accounts.json", "rows_from: none.json");
const ONE_FEWER: Fault = Plan("rate: \"{{ inputs.rate }}\"", "rate: 149/s");
const RAEDS: Fault = Plan("failed{scenario:reads}", "failed{scenario:raeds}");
const NO_SUCH_NAME: &str =
    "http://a-name-that-is-longer-than-the-sixty-three-characters-that-a-label-may-have.invalid";

macro_rules! battery {
    ($($name:ident | $plan:tt | $fault:expr => $verdict:literal $exit:literal $words:expr $(, warns $warning:literal)?;)*) => {
        $(#[test]
        fn $name() {
            let _shared = tests::together();
            let (plan, fault, verdict, words) = ($plan, $fault, $verdict, &$words);
            let warning = concat!($($warning)?);
            stage::Case { plan, fault, verdict, exit: $exit, words, warning }.play();
        })*
    };
}

/// With nothing broken, through the same proxy, every plan passes: red is the fault's doing.
#[rustfmt::skip]
mod battery_control {
    use super::*;
    battery! {
    an_open_model           | "open"          | Nothing                                  => "pass"   0 [];
    nobody_starves_it       | PATIENT         | Nothing                                  => "pass"   0 [];
    a_closed_model          | "closed"        | Nothing                                  => "pass"   0 [];
    two_endpoints           | "endpoints"     | Nothing                                  => "pass"   0 [];
    writes                  | "writes"        | Nothing                                  => "pass"   0 [];
    accounts                | "accounts"      | Plan("pause: 100ms", "pause: 400ms")     => "pass"   0 [];
    tls_with_its_name       | "secure"        | Deed(tls)                                => "pass"   0 [];
    a_ramp                  | "ramp"          | Nothing                                  => "pass"   0 [];
    gates_of_other_things   | "blind"         | Nothing                                  => "pass"   0 [];
    a_bound_in_milliseconds | "half-a-second" | Plan("<0.5", "<500")                     => "pass"   0 [];
    a_service               | "service"       | Deed(service_lives)                      => "pass"   0 [];
    a_fleet                 | FLEET           | Deed(fleet)                              => "pass"   0 [];
    sessions                | SOCKETS         | Deed(sessions_well)                      => "pass"   0 [];
    http_1_0                | "open"          | ServerAtOnce(speaks_http_1_0_and_closes) => "pass"   0 [];
    }
}

#[rustfmt::skip]
mod battery {
    use super::*;
    battery! {
    // The target and the wire.
    hangs_at_once                 | "open"             | ServerAtOnce(never_answers)                 => "preflight refused" 115 ["no answer within"];
    hangs_under_load              | "open"             | Server(never_answers)                       => "fail"               99 ["no answer within the timeout", "above every bound"];
    hangs_under_closed_load       | "closed"           | Wire(Hang)                                  => "fail"               99 ["no answer within the timeout"];
    hangs_longer_than_the_load    | NO_TIMEOUT         | Wire(Hang)                                  => "fail"               99 ["stopped answering"];
    refuses_at_once               | "open"             | WireAtOnce(Refuse)                          => "refused"           113 ["Connection refused"];
    refuses_under_load            | "open"             | Wire(Refuse)                                => "fail"               99 ["connection refused"];
    answers_500_in_1_ms           | "open"             | Server(answers_500_at_once)                 => "fail"               99 ["status 500", "above every bound"];
    answers_500_from_the_start    | "open"             | ServerAtOnce(answers_500_at_once)           => "preflight refused" 115 ["500"];
    answers_200_with_a_wrong_body | "open"             | Server(answers_a_wrong_body)                => "fail"               99 ["status 200; not met: `json $."];
    a_name_that_does_not_resolve  | "open"             | UNRESOLVED                                  => "refused"           113 ["failed to lookup address"];
    a_name_that_is_not_guarded    | "closed"           | UNRESOLVED                                  => "preflight refused" 115 ["does not resolve"];
    a_body_that_trickles          | "open"             | TRICKLE                                     => "fail"               99 ["no answer within the timeout"];
    a_stall_under_a_small_pool    | SMALL_POOL         | WireFor(Hang, 4_000)                        => "fail"               99 ["dropped"];
    a_restart_in_mid_run          | "open"             | WireFor(Refuse, 300)                        => "fail"               99 ["connection refused"];
    a_restart_of_a_real_service   | FLEET              | Deed(fleet_restarted)                       => "fail"               99 ["connection refused"];
    resets_on_keep_alive          | "open"             | Wire(ResetReused)                           => "fail"               99 ["connection reset"];
    resets_every_connection       | "closed"           | Wire(Reset)                                 => "fail"               99 ["connection reset"];
    cut_after_twenty_bytes        | "open"             | Wire(CutAfter(20))                          => "fail"               99 ["the connection ended before the answer did"];
    half_open_connections         | NO_TIMEOUT         | Wire(HalfOpen)                              => "fail"               99 ["stopped answering"];
    slow_but_well                 | "open"             | SLOW                                        => "fail"               99 ["http_req_duration{scenario:reads}"];
    slower_with_every_request     | "open"             | Server(gets_slower_with_every_request)      => "fail"               99 ["http_req_duration{scenario:reads}"];
    slow_on_one_endpoint          | "endpoints"        | ServerAtOnce(is_slow_on_one_endpoint)       => "fail"               99 ["http_req_duration{endpoint:report}"];
    two_failures_of_a_hundred     | "open"             | Server(fails_two_of_a_hundred)              => "fail"               99 ["status 500"];
    limited_97_of_a_hundred       | "open"             | Server(limits_97_of_a_hundred)              => "fail"               99 ["429"];
    an_html_login_page            | "open"             | Server(answers_an_html_login_page)          => "fail"               99 ["status 200; not met: `json $."];
    a_token_that_expires          | "writes"           | Server(says_the_token_has_expired)          => "fail"               99 ["status 401"];
    a_redirect_loop               | "open"             | Server(redirects_in_a_circle)               => "fail"               99 ["status 302; not met: "];
    hops_that_lead_nowhere        | "loose"            | Server(redirects_in_a_circle)               => "fail"               99 ["status 302; not met: "];
    a_redirect_to_a_foreign_host  | "open"             | ServerAtOnce(redirects_to_a_foreign_host)   => "preflight refused" 115 ["not among the allowed hosts"];
    a_length_that_is_too_long     | "open"             | Server(promises_more_than_it_sends)         => "fail"               99 ["the connection ended before the answer did"];
    a_length_that_is_too_short    | "open"             | Server(sends_more_than_it_promises)         => "fail"               99 ["not met: `json $."];
    chunks_that_never_end         | "open"             | Server(never_ends_its_chunks)               => "fail"               99 ["no answer within the timeout"];
    a_body_without_its_end        | "open"             | Server(closes_amid_a_body_without_length)   => "fail"               99 ["not met: `json $."];
    a_body_of_32_mebibytes        | "closed"           | Server(answers_with_32_mebibytes)           => "fail"               99 ["more of it than a step may read"];
    answers_of_other_requests     | "open"             | Server(answers_the_request_before)          => "fail"               99 ["not met: `json $.k"];
    answers_that_come_twice       | "open"             | Server(answers_twice)                       => "fail"               99 ["not met: `json $.k"];
    an_answer_before_the_end      | "writes"           | TOO_LARGE                                   => "fail"               99 ["status 413"];
    not_http_at_all               | "open"             | Server(does_not_speak_http)                 => "fail"               99 ["the answer is not HTTP"];
    a_certificate_of_another_name | WRONG_NAME         | Deed(tls)                                   => "preflight refused" 115 ["certificate"];
    a_service_that_dies           | "service"          | Deed(service_dies)                          => "fail"               99 ["connection refused"];
    a_database_that_is_dropped    | FLEET              | Deed(database_dropped)                      => "fail"               99 ["× status 50"];
    handshakes_never_answered     | SOCKETS            | Deed(handshakes_hang)                       => "fail"               99 ["ws_connecting p(90) < 1s: measured ∞", "no answer to the handshake within the timeout"];
    handshakes_refused_with_500   | SOCKETS            | Deed(handshakes_refused)                    => "fail"               99 ["sessions failed", "status 500"];
    sessions_in_which_nobody_says | SOCKETS            | Deed(sessions_silent)                       => "fail"               99 ["ws_receive_duration p(90) < 1s: measured ∞", "nothing came in time"];
    sessions_closed_by_the_server | SOCKETS            | Deed(sessions_closed_early)                 => "fail"               99 ["sessions failed", "closed by the server before its steps ended"];
    messages_that_come_late       | SOCKETS            | Deed(messages_late)                         => "fail"               99 ["ws_receive_duration p(90) < 1s"];

    // The plan.
    a_misspelt_tag                | "open"             | RAEDS                                       => "error"             104 ["raeds", "reads"];
    a_misspelt_metric             | "open"             | Plan("http_req_failed", "http_reqs_failed") => "error"             104 ["http_req_failed"];
    a_misspelt_top_level_key      | "open"             | Plan("thresholds:", "threshold:")           => "error"             104 ["thresholds"];
    a_gate_key_given_twice        | "open"             | GATE_TWICE                                  => "error"             104 ["http_req_duration{scenario:reads}"];
    half_a_second_meant           | "half-a-second"    | ServerAtOnce(needs_20_milliseconds)         => "fail"               99 ["p(95) < 500µs"], warns "a bound without a unit is in milliseconds: this is 500µs";
    a_gate_on_the_smoke_alone     | "smoke"            | Server(fails_two_of_a_hundred)              => "fail"               99 ["no gate of this run allows it", "status 500"];
    samples_missed_by_one         | "open"             | ONE_FEWER                                   => "invalid"           111 ["298", "299"];
    every_iteration_fails         | "blind"            | ServerAfterOne(answers_500_at_once)         => "fail"               99 ["every iteration of", "status 500"];
    no_iteration_runs             | "ramp --set vus=0" | Nothing                                     => "invalid"           111 ["no iteration"];
    set_up_fails                  | "writes"           | ServerAtOnce(cannot_be_set_up)              => "set-up failed"     100 ["503"];
    teardown_fails                | "writes"           | ServerAtOnce(cannot_be_torn_down)           => "teardown failed"   101 ["409"];

    // The rows.
    an_empty_seed                 | "accounts"         | NO_ROWS                                     => "error"             104 ["holds no row"];
    a_seed_of_no_rows             | NO_FLEET           | Nothing                                     => "error"             104 ["a fixture without rows seeds nothing"];
    a_seed_that_is_gone           | FLEET              | Deed(fleet_without_rows)                    => "preflight refused" 115 ["404"];
    a_half_loaded_seed            | SMALL_FLEET        | Deed(fleet_half_loaded)                     => "fail"               99 ["status 404"];
    rows_that_run_out             | "accounts"         | Nothing                                     => "invalid"           111 ["ran out"];

    // The generator and its machine.
    a_tenth_of_a_core             | PATIENT            | Deed(starved)                               => "invalid"           111 ["generator: starts were late"];
    pauses_of_50_ms_open          | OPEN_10_MS         | Deed(pauses_of_50_ms)                       => "invalid"           111 ["generator: starts were late"];
    pauses_of_50_ms_closed        | CLOSED_10_MS       | Deed(pauses_of_50_ms)                       => "invalid"           111 ["generator: sockets were read late"];
    a_clock_that_jumps_forward    | "open"             | Deed(clock_jumps_forward)                   => "invalid"           111 ["generator: the clock jumped"];
    a_clock_that_jumps_back       | "open"             | Deed(clock_jumps_back)                      => "invalid"           111 ["generator: the clock jumped"];
    sigterm_in_mid_run            | "open"             | Deed(sigterm)                               => "interrupted"       105 ["SIGTERM"];

    // The outputs.
    a_disk_that_fills_up          | "open"             | Deed(disk_fills_up)                         => "output lost"       117 ["cannot write"];
    a_report_on_a_full_disk       | "open"             | Plan("summary.json", "/dev/full")           => "output lost"       117 ["No space left"];
    a_full_standard_output        | "open"             | Deed(stdout_is_full)                        => "output lost"       117 ["cannot write to standard output"];
    a_gate_loosened_afterwards    | "open"             | Judged(gate_loosened_in_the_evidence)       => "error"             111 ["not the one that was applied"];
    evidence_that_does_not_sum_up | "open"             | Judged(failures_taken_out_of_the_evidence)  => "internal error"     70 ["do not add up"];
    evidence_cut_short            | "open"             | Judged(evidence_halved)                     => "error"               2 ["is no evidence"];
    }
}
