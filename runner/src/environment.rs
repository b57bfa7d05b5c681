//! The fingerprint of where a run took place: without it a number cannot be compared with another.

use std::collections::BTreeMap;
use std::fs;

/// Cores, kernel, load before the run, memory, processor, versions.
pub fn fingerprint() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()) {
            out.insert(name.to_owned(), value);
        }
    };
    let read = |path: &str| fs::read_to_string(path).ok();
    let field = |text: Option<String>, name: &str| {
        let text = text?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    put("cores", std::thread::available_parallelism().ok().map(|n| n.to_string()));
    put("kernel", read("/proc/sys/kernel/osrelease"));
    put("host", read("/proc/sys/kernel/hostname"));
    put(
        "load_before",
        read("/proc/loadavg").map(|text| text.split(' ').take(3).collect::<Vec<_>>().join(" ")),
    );
    put("memory", field(read("/proc/meminfo"), "MemTotal"));
    put("processor", field(read("/proc/cpuinfo"), "model name"));
    put("cgroup_cpu_max", read("/sys/fs/cgroup/cpu.max"));
    put("open_files_limit", open_files().map(|n| n.to_string()));
    put("local_ports", read("/proc/sys/net/ipv4/ip_local_port_range").map(|text| text.replace('\t', "-")));
    put("build", Some(if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned()));
    out
}

fn open_files() -> Option<u64> {
    nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}
