use super::*;

#[test]
fn wrk_tells_requests_percentiles_and_errors() {
    let told = wrk("Running 1s test @ http://127.0.0.1:18377/ok
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    45.17ms    9.73ms  52.01ms   95.83%
    Req/Sec    43.64      8.09    60.00     81.82%
  Latency Distribution
     50%  488.00us
     75%   48.03ms
     90%   51.97ms
     99%    1.02s 
  48 requests in 1.10s, 5.56KB read
  Socket errors: connect 0, read 3, write 0, timeout 2
  Non-2xx or 3xx responses: 7
Requests/sec:     43.62
Transfer/sec:      5.05KB
")
    .expect("its figures");
    assert_eq!((told.requests, told.seconds, told.failed), (48.0, 1.1, 12.0));
    assert_eq!((told.p50_ms, told.p99_ms), (Some(0.488), Some(1_020.0)));
    assert!(wrk("unable to connect to 127.0.0.1:1 Connection refused").is_err());
}

#[test]
fn hey_tells_requests_by_status_and_errors_by_number() {
    let told = hey("
Summary:
  Total:\t1.0401 secs
  Slowest:\t0.0560 secs
  Requests/sec:\t42.3039

Latency distribution:
  10% in 0.0440 secs
  50% in 0.0480 secs
  99% in 0.0520 secs

Status code distribution:
  [200]\t44 responses
  [503]\t5 responses

Error distribution:
  [4]\tGet \"http://127.0.0.1:1/x\": dial tcp 127.0.0.1:1: connect: connection refused
  [2]\tGet \"http://127.0.0.1:1/x\": EOF

")
    .expect("its figures");
    assert_eq!((told.requests, told.seconds, told.failed), (49.0, 1.0401, 11.0));
    assert_eq!((told.p50_ms, told.p99_ms), (Some(48.0), Some(52.0)));
    let few = hey(
        "Summary:\n  Total:\t0.1 secs\n\n  0% in 0.0000 secs\nStatus code distribution:\n  [200]\t1 responses\n",
    );
    assert_eq!(few.expect("its figures").p99_ms, None, "too few samples for a percentile");
}

#[test]
fn ab_tells_whole_milliseconds() {
    let told = ab("Concurrency Level:      2
Time taken for tests:   1.002 seconds
Complete requests:      37260
Failed requests:        2
   (Connect: 0, Receive: 1, Length: 0, Exceptions: 1)
Non-2xx responses:      3
Requests per second:    37173.94 [#/sec] (mean)

Percentage of the requests served within a certain time (ms)
  50%      1
  66%      2
  99%      4
 100%      7 (longest request)
")
    .expect("its figures");
    assert_eq!((told.requests, told.seconds, told.failed), (37_260.0, 1.002, 5.0));
    assert_eq!((told.p50_ms, told.p99_ms), (Some(1.0), Some(4.0)));
    assert!(ab("ab: Could not allocate").is_err());
}

#[test]
fn oha_tells_seconds_and_counts_what_it_gave_up_as_no_failure() {
    let told = oha(r#"{
        "summary": { "successRate": 1.0, "total": 2.001, "average": 0.02, "requestsPerSec": 1999.5 },
        "latencyPercentiles": { "p50": 0.0213, "p95": 0.022, "p99": 0.0231, "p99.99": null },
        "statusCodeDistribution": { "200": 4000, "500": 2 },
        "errorDistribution": { "aborted due to deadline": 40, "connection closed before message completed": 3 }
    }"#)
    .expect("its figures");
    assert_eq!((told.requests, told.seconds, told.failed), (4_002.0, 2.001, 5.0));
    assert!(told.p50_ms.zip(told.p99_ms).is_some_and(|(p50, p99)| (p50 - 21.3).abs() < 1e-9 && p99 < 23.2));
    assert!(oha("{}").is_err());
}

#[test]
fn k6_tells_its_metrics_in_its_last_line() {
    let told = k6(r#"time="…" level=warning msg="a line of its log"
{"metrics":{"http_reqs":{"values":{"count":200,"rate":100}},"http_req_failed":{"values":{"passes":3,"fails":197}},
"#)
    .expect_err("half a line");
    assert!(told.contains("EOF"), "{told}");
    let told = k6(concat!(
        r#"{"metrics":{"http_reqs":{"values":{"count":200,"rate":100}},"#,
        r#""http_req_failed":{"values":{"rate":0.015,"passes":3,"fails":197}},"#,
        r#""dropped_iterations":{"values":{"count":4}},"#,
        r#""http_req_duration":{"values":{"med":20.5,"p(99)":31.25}}},"state":{"testRunDurationMs":2000}}"#,
        "\n"
    ))
    .expect("its figures");
    assert_eq!((told.requests, told.rate(), told.failed), (200.0, 100.0, 7.0));
    assert_eq!((told.p50_ms, told.p99_ms), (Some(20.5), Some(31.25)));
}

#[test]
fn the_bare_loop_tells_its_lateness() {
    let told = bare(
        r#"{"requests":100,"seconds":1.02,"failed":0,"dropped":1,"p50_us":20500,"p99_us":21000,
            "lateness_p50_us":55,"lateness_p99_us":80,"lateness_max_us":400}"#,
    )
    .expect("its figures");
    assert_eq!((told.requests, told.failed, told.p50_ms), (100.0, 1.0, Some(20.5)));
    assert_eq!((told.lateness_p50_us, told.lateness_max_us), (Some(55.0), Some(400.0)));
}
