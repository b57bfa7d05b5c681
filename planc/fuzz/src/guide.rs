//! Whether an input reached something that none did before: a set of diagnostics, and code where that is counted.
//!
//! `planc/fuzz/guided` builds with LLVM's 8-bit edge counters. They announce themselves below; in any other build
//! nobody calls, and only diagnostics guide.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The counters of each instrumented crate, from first to last.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
static EDGES: AtomicUsize = AtomicUsize::new(0);
static SEEN: Mutex<Seen> = Mutex::new(Seen { codes: BTreeSet::new(), edges: Vec::new() });

struct Seen {
    codes: BTreeSet<BTreeSet<&'static str>>,
    /// For each edge, a bit for each magnitude of its counter.
    edges: Vec<u8>,
}

/// Called by instrumented code as it is loaded.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    if let Ok(mut counters) = COUNTERS.lock() {
        counters.push((start as usize, end as usize));
        EDGES.fetch_add(end as usize - start as usize, Relaxed);
    }
}

/// Called by instrumented code as it is loaded.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_pcs_init(_: *const usize, _: *const usize) {}

/// Sets all counters to 0.
pub(crate) fn reset() {
    for (start, end) in COUNTERS.lock().map(|counters| counters.clone()).unwrap_or_default() {
        // SAFETY: the range was given by the instrumentation and lives as long as the process; a race costs a count.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) };
    }
}

/// Whether the last input reached anything new.
pub(crate) fn is_new(codes: BTreeSet<&'static str>) -> bool {
    let Ok(mut seen) = SEEN.lock() else { return false };
    let mut new = seen.codes.insert(codes);
    let mut edge = 0;
    seen.edges.resize(EDGES.load(Relaxed), 0);
    for (start, end) in COUNTERS.lock().map(|counters| counters.clone()).unwrap_or_default() {
        // SAFETY: as above.
        let counters = unsafe { std::slice::from_raw_parts(start as *const u8, end - start) };
        for count in counters {
            // 1, 2 to 3, 4 to 7 … each is a magnitude of its own.
            let bit = if *count == 0 { 0 } else { 1u8 << count.ilog2() };
            new |= seen.edges[edge] & bit != bit;
            seen.edges[edge] |= bit;
            edge += 1;
        }
    }
    new
}

/// How far it got.
pub(crate) fn described() -> String {
    let Ok(seen) = SEEN.lock() else { return String::new() };
    let reached = seen.edges.iter().filter(|bits| **bits != 0).count();
    match EDGES.load(Relaxed) {
        0 => format!("{} sets of diagnostics", seen.codes.len()),
        edges => format!("{reached} of {edges} edges, {} sets of diagnostics", seen.codes.len()),
    }
}
