//! What a check costs, by hand and never in CI: wall and CPU time and peak memory of `planc check`, its start included,
//! on plans that ship and on generated ones of growing size, beside other checkers on files of like size.

use clap::Parser;
use nix::libc;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Measures `planc check` beside actionlint, yamllint and check-jsonschema, those that are on the path.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  cargo build --release -p planc && cargo build --release -p tests --bin bench-check\n  target/release/bench-check"
)]
struct Arguments {
    /// Runs of each program on each file; the fastest and the median count.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Sizes of the generated plans, in scenarios.
    #[arg(long, value_delimiter = ',', default_value = "250,500,1000,2000,4000")]
    scenarios: Vec<usize>,
}

/// One run.
#[derive(Clone, Copy)]
struct Sample {
    wall: Duration,
    cpu: Duration,
    peak_kib: i64,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let here = std::env::current_exe().map_err(|e| e.to_string())?;
    let planc = here.parent().ok_or("no folder")?.join("planc");
    if !planc.exists() {
        return Err(format!("there is no {}: cargo build --release -p planc", planc.display()));
    }
    let root = tests::root();
    let folder = std::env::temp_dir().join(format!("planc-bench-{}", std::process::id()));
    std::fs::create_dir_all(folder.join(".github/workflows")).map_err(|e| e.to_string())?;
    println!("| program | file | KiB | wall min ms | wall median ms | CPU ms | peak memory MiB |");
    println!("|---|---|---|---|---|---|---|");
    for plan in ["plans/quickstart.yaml", "plans/certctl/agent-storm.yaml"] {
        row(arguments, &planc, &["check"], &root.join(plan), plan)?;
    }
    let mut grown = Vec::new();
    for &scenarios in &arguments.scenarios {
        let path = folder.join(format!("{scenarios}.yaml"));
        std::fs::write(&path, plan(scenarios)).map_err(|e| e.to_string())?;
        let sample = row(arguments, &planc, &["check"], &path, &format!("{scenarios} scenarios"))?;
        grown.push((scenarios, sample));
    }
    peers(arguments, &planc, &folder)?;
    println!("\n| from | to | size × | CPU × | memory × | KiB a scenario |");
    println!("|---|---|---|---|---|---|");
    for pair in grown.windows(2) {
        let [(few, small), (many, large)] = pair else { continue };
        let memory = (large.peak_kib - small.peak_kib) as f64;
        println!(
            "| {few} | {many} | {:.2} | {:.2} | {:.2} | {:.1} |",
            *many as f64 / *few as f64,
            large.cpu.as_secs_f64() / small.cpu.as_secs_f64(),
            large.peak_kib as f64 / small.peak_kib as f64,
            memory / (many - few) as f64
        );
    }
    std::fs::remove_dir_all(&folder).map_err(|e| e.to_string())
}

/// Other checkers that this machine has, on what they check, as long as a plan of 1,000 scenarios.
fn peers(arguments: &Arguments, planc: &Path, folder: &Path) -> Result<(), String> {
    let text = plan(1000);
    let path = folder.join("like.yaml");
    std::fs::write(&path, &text).map_err(|e| e.to_string())?;
    let workflow = folder.join(".github/workflows/like.yaml");
    std::fs::write(&workflow, self::workflow(text.len())).map_err(|e| e.to_string())?;
    let schema = folder.join("schema.json");
    let printed = Command::new(planc).arg("schema").output().map_err(|e| e.to_string())?;
    std::fs::write(&schema, printed.stdout).map_err(|e| e.to_string())?;
    let schema = schema.to_string_lossy().into_owned();
    let all: [(&str, Vec<&str>, &Path, &str); 3] = [
        ("actionlint", vec!["-shellcheck=", "-pyflakes="], &workflow, "a workflow of that size"),
        ("yamllint", vec!["-d", "relaxed"], &path, "1000 scenarios, layout"),
        ("check-jsonschema", vec!["--schemafile", &schema], &path, "1000 scenarios, schema"),
    ];
    for (name, options, file, shown) in all {
        match on_path(name) {
            Some(program) => drop(row(arguments, &program, &options, file, shown)?),
            None => eprintln!("bench: {name} is not on the path"),
        }
    }
    Ok(())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Runs a program as often as asked and prints its line.
fn row(
    arguments: &Arguments,
    program: &Path,
    options: &[&str],
    file: &Path,
    shown: &str,
) -> Result<Sample, String> {
    let mut samples = Vec::new();
    for _ in 0..arguments.rounds.max(1) {
        samples.push(run(program, options, file)?);
    }
    samples.sort_by_key(|sample| sample.wall);
    let median = samples[samples.len() / 2];
    let least = samples.iter().map(|sample| sample.cpu).min().unwrap_or_default();
    let size = std::fs::metadata(file).map_err(|e| e.to_string())?.len() / 1024;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    println!(
        "| {name} | {shown} | {size} | {} | {} | {} | {:.1} |",
        ms(samples[0].wall),
        ms(median.wall),
        ms(least),
        median.peak_kib as f64 / 1024.0
    );
    Ok(Sample { cpu: least, ..median })
}

/// One run, with the kernel's account of it.
fn run(program: &Path, options: &[&str], file: &Path) -> Result<Sample, String> {
    let start = Instant::now();
    let mut command = Command::new(program);
    command.args(options).arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value, and wait4 fills it in for our own child.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::wait4(child.id() as i32, &mut status, 0, &mut usage) < 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        usage
    };
    let wall = start.elapsed();
    // A finding is an answer; a program that could not run has none.
    if status != 0 && status >> 8 != 1 {
        return Err(format!("{} {} ended with status {}", program.display(), file.display(), status >> 8));
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Ok(Sample { wall, cpu: time(usage.ru_utime) + time(usage.ru_stime), peak_kib: usage.ru_maxrss })
}

/// A sound plan: each scenario has an endpoint of its own and two gates.
fn plan(scenarios: usize) -> String {
    let mut out = String::from(
        "plan: big\nabout: generated\n\ninputs:\n  base_url: { type: url, default: \"http://127.0.0.1:8080\" }\n  \
         api_key: { type: secret, default: x, test_only: true }\n\ntarget:\n  url: \"{{ inputs.base_url }}\"\n  \
         allow_hosts: [127.0.0.1]\n\ntokens:\n  api:\n    value: \"{{ inputs.api_key }}\"\n    \
         header: \"Authorization: Bearer {{ token }}\"\n    scopes: [items.read]\n\nendpoints:\n",
    );
    for i in 0..scenarios {
        let _ = writeln!(out, "  item_{i}: {{ get: \"/api/items_{i}/{{id}}\", scopes: [items.read] }}");
    }
    out.push_str("\nscenarios:\n");
    for i in 0..scenarios {
        let _ = write!(
            out,
            "  s_{i}:\n    executor: constant-arrival-rate\n    rate: 20/s\n    duration: 5m\n    \
             pre_allocated_vus: 5\n    max_vus: 60\n    steps:\n      - call: item_{i}\n        \
             path: {{ id: \"{{{{ iteration_global }}}}\" }}\n        token: api\n        \
             tags: {{ phase: read_{i} }}\n        expect: {{ status: 200, json: {{ $.id: present }} }}\n"
        );
    }
    out.push_str("\nthresholds:\n");
    for i in 0..scenarios {
        let _ = write!(
            out,
            "  http_req_duration{{scenario:s_{i}}}: [\"p(95) < 500ms\", \"p(99) < 1s\"]\n  \
             http_req_failed{{scenario:s_{i}}}: [\"rate < 1%\"]\n"
        );
    }
    out
}

/// A workflow of at least so many bytes.
fn workflow(bytes: usize) -> String {
    let mut out = String::from("name: big\non: push\njobs:\n");
    let mut i = 0;
    while out.len() < bytes {
        let _ = write!(
            out,
            "  job_{i}:\n    runs-on: ubuntu-24.04\n    env:\n      NAME: item_{i}\n    steps:\n      \
             - uses: actions/checkout@v4\n      - run: echo \"${{{{ github.sha }}}} ${{{{ env.NAME }}}}\"\n"
        );
        i += 1;
    }
    out
}
