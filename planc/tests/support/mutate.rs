//! Plans that are nearly plans: a shipped text with blocks, keys, values and layout changed, most of it still YAML.
//! For property tests and for the fuzz driver in `planc/fuzz`.

/// Small and seeded (splitmix64): the same seed, the same texts, everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Under `end`; 0 when there is nothing.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Values that are at an edge, or where something else is meant.
const VALUES: &[&str] = &[
    "0",
    "-1",
    "1",
    "3.5",
    "1e400",
    "-0.0",
    "0.0000001",
    "1000000000000000000",
    "18446744073709551616",
    "5_0_0",
    "9223372036854775807",
    "0x10",
    "1s",
    "0s",
    "1ns",
    "30m",
    "999999999999d",
    "106751991168d",
    "1h0m0.5s",
    "-5s",
    "1/0s",
    "1/s",
    "1000000000000/1ns",
    "1000000000000000000/s",
    "0.000001/h",
    "100%",
    "0%",
    "1e9%",
    "101%",
    "1MiB",
    "16777216TiB",
    "~",
    "null",
    "true",
    "no",
    "[]",
    "{}",
    "''",
    "\"\\0\"",
    "\"é\\u2028\"",
    "x",
    "*",
    "\"*\"",
    "2xx",
    "[200, 2xx]",
    "present",
    "{ present: true }",
    "{ value: 1, values: [a, b] }",
    "$.a[0].b",
    "$..*",
    "$[",
    "/",
    "//x",
    "http://127.0.0.1:1",
    "http://[::1]/",
    "https://e.example.test/a?b#c",
    "constant-vus",
    "ramping-vus",
    "constant-arrival-rate",
    "ramping-arrival-rate",
    "shared-iterations",
    "per-vu-iterations",
    "find-max",
    "per_vu",
    "exclusive",
    "shuffle",
    "random",
    "exact",
    "refresh",
    "\"p(95) < 500ms\"",
    "\"p(99.99999999) < 1ns\"",
    "\"p(0) < 0\"",
    "\"rate < 0.1%\"",
    "\"rate >= 0%\"",
    "\"count == 18446744073709551616\"",
    "\"avg!=1s\"",
    "{ uniform: [200ms, 1s] }",
    "{ weighted: { a: 0, b: 18446744073709551615 } }",
    "{ integer: { from: 5, to: -5 } }",
    "{ hex: 1000000000 }",
    "{ decimal: { from: 0, to: 1e308 } }",
    "[{ get: / }]",
    "[{ pause: 1s }]",
    "{ repeat: 1000000000000000000, steps: [{ get: / }] }",
    "{ each: [1, 2], as: x, steps: [{ get: / }] }",
    "[{ duration: 5m, target: 1000000 }, { duration: 0s, target: 0 }]",
    "{ references: a.b, value: 1 }",
    "{ before_now: { from: 1d, to: 999999999999d } }",
    "{ fixture: agents, column: id }",
];

/// Expressions, put between braces and quotes.
const EXPRESSIONS: &[&str] = &[
    "n",
    "n + 1",
    "n % 0",
    "1 // 0",
    "1 / 0",
    "9223372036854775807 + 1",
    "-9223372036854775807 - 2",
    "2 ** 9999",
    "n | pad(5)",
    "n | pad(1000000000000)",
    "range(1000000000000)",
    "range(0, 10, 0)",
    "inputs.rate",
    "inputs.nope",
    "agent.id",
    "user.username",
    "services.postgres.url",
    "run_id",
    "iteration",
    "vu",
    "scenario",
    "now()",
    "'%099999999d' % n",
    "'%s' % 'x'",
    "'x' * 1000000000",
    "[1, 2, 3][99]",
    "{'a': 1}.b",
    "a.b.c.d",
    "a[0]['b']",
    "x ~ y",
    "'a' if n else 'b'",
    "not n and n or n",
    "1 < 2 < 3",
    "n in [1, 2]",
    "'é' ~ '\\u0000'",
    "random.int(1, 0)",
    "random.uuid()",
    "random.pick([])",
    "response.status == 429",
    "scopes | join(',')",
    "token",
    "rows",
    "port",
    "n | default(1) | upper | length",
    "\"q\"",
    "'",
    "((",
    "}}",
    "{{ n }}",
    "1e999",
    "0.1 + 0.2",
    "n is defined",
];

/// A text with one to four things changed. `others` lend blocks, keys and values.
pub(crate) fn mutate(text: &str, others: &[&str], dice: &mut Dice) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    for _ in 0..=dice.below(4) {
        change(&mut lines, others, dice);
        let size: usize = lines.iter().map(String::len).sum();
        if size > 200_000 {
            lines.truncate(lines.len() / 2);
        }
    }
    let mut out = lines.join("\n");
    match dice.below(40) {
        0 => out = out.replace('\n', "\r\n"),
        1 => out.insert(0, '\u{feff}'),
        2 => {}
        _ => out.push('\n'),
    }
    out
}

/// A text with only its layout changed: what it says stays.
pub(crate) fn relayout(text: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    let mut scalar = None;
    // Every level as deep as twice before, or none.
    let double = dice.below(2) == 0;
    for line in text.lines() {
        let indent = indent_of(line);
        let inside = scalar.is_some_and(|outer| indent > outer || line.trim().is_empty());
        if !inside {
            scalar = line.trim_end().ends_with(['|', '>', '-', '+']).then_some(indent);
            match dice.below(8) {
                0 => out.push_str(&format!("{}# a comment\n", " ".repeat(indent))),
                1 => out.push('\n'),
                2 => out.push_str("# at the margin\n\n\n"),
                _ => {}
            }
        }
        let wide = if double { indent * 2 } else { indent };
        out.push_str(&" ".repeat(if line.trim().is_empty() { 0 } else { wide }));
        let dashed = line.trim_start().starts_with("- ") && wide > indent;
        out.push_str(&if dashed {
            line.trim_start().replacen("- ", "-   ", 1)
        } else {
            line.trim_start().into()
        });
        if !inside && scalar.is_none() && !line.trim().is_empty() && dice.below(10) == 0 {
            out.push_str("   # behind");
        }
        out.push('\n');
    }
    out
}

fn change(lines: &mut Vec<String>, others: &[&str], dice: &mut Dice) {
    if lines.is_empty() {
        lines.push("plan: x".into());
    }
    let at = dice.below(lines.len());
    match dice.below(20) {
        0 => drop(lines.drain(block(lines, at))),
        1 => {
            let range = block(lines, at);
            let copy: Vec<String> = lines[range.clone()].to_vec();
            let times = if dice.below(30) == 0 { 300 } else { 1 + dice.below(2) };
            for _ in 0..times {
                lines.splice(range.end..range.end, copy.iter().cloned());
            }
        }
        // To another place, as deep as what stands there.
        2 | 3 => {
            let moved: Vec<String> = lines.drain(block(lines, at)).collect();
            let to = dice.below(lines.len() + 1);
            let depth = lines.get(to).map_or(0, |line| indent_of(line));
            lines.splice(to..to, shifted(&moved, depth));
        }
        4 | 5 => {
            let other: Vec<String> = dice.pick(others).lines().map(String::from).collect();
            let from = dice.below(other.len());
            let graft: Vec<String> = other.get(block(&other, from)).unwrap_or(&[]).to_vec();
            lines.splice(at..at, shifted(&graft, indent_of(&lines[at])));
        }
        6..=8 => {
            let value = match dice.below(3) {
                0 => format!("\"{{{{ {} }}}}\"", dice.pick(EXPRESSIONS)),
                1 => {
                    let other = dice.pick(others);
                    let lines: Vec<&str> = other.lines().collect();
                    let line = lines.get(dice.below(lines.len())).copied().unwrap_or("");
                    line.split_once(": ").map_or(line, |(_, value)| value).to_string()
                }
                _ => dice.pick(VALUES).to_string(),
            };
            if let Some((key, _)) = lines[at].split_once(": ") {
                lines[at] = format!("{key}: {value}");
            }
        }
        // A value between brackets.
        9 | 10 => {
            let line = &lines[at];
            let cuts: Vec<usize> = line.match_indices(": ").map(|(i, _)| i + 2).collect();
            let start = cuts.get(dice.below(cuts.len())).copied();
            if let Some(start) = start {
                let end = line[start..].find([',', '}', ']']).map_or(line.len(), |i| start + i);
                let value = dice.pick(VALUES).to_string();
                lines[at].replace_range(start..end, &value);
            }
        }
        11 => {
            let other = dice.pick(others);
            let keys: Vec<&str> = other.lines().filter_map(|l| Some(l.split_once(':')?.0.trim())).collect();
            let key = keys.get(dice.below(keys.len())).copied().unwrap_or("x").to_string();
            let depth = indent_of(&lines[at]);
            if let Some((_, value)) = lines[at].split_once(':') {
                lines[at] = format!("{}{key}:{value}", " ".repeat(depth));
            }
        }
        12 => {
            let range = block(lines, at);
            let depth = (indent_of(&lines[at]) + dice.below(6)).saturating_sub(2);
            let moved = shifted(&lines[range.clone()], depth);
            lines.splice(range, moved);
        }
        13 | 14 => character(&mut lines[at], dice),
        15 => deep(&mut lines[at], dice),
        16 => anchors(lines, at, dice),
        17 => {
            let depth = dice.below(10);
            let comment =
                dice.pick(&["# c", "#", "", "", "  # --- {", "# é ünï", "---", "...", "%YAML 1.2", "\t"]);
            lines.insert(at, format!("{}{comment}", " ".repeat(depth)));
        }
        18 => lines[at].push_str(
            dice.pick(&["  # why", " #", ",", " |", " >-", " |2+", ":", " }", " ]", "\t# t", "\""]),
        ),
        // Brackets over several lines.
        _ => {
            let line = lines[at].replacen(", ", ",\n         # between\n        ", 1 + dice.below(3));
            lines.splice(at..=at, line.lines().map(String::from).collect::<Vec<_>>());
        }
    }
}

/// A line and the deeper ones below it.
fn block(lines: &[String], at: usize) -> std::ops::Range<usize> {
    let Some(first) = lines.get(at) else { return 0..0 };
    let depth = indent_of(first);
    let deeper = |line: &&String| line.trim().is_empty() || indent_of(line) > depth;
    at..at + 1 + lines[at + 1..].iter().take_while(deeper).count()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn shifted(block: &[String], depth: usize) -> Vec<String> {
    let own = block.first().map_or(0, |line| indent_of(line));
    let shift = |line: &String| {
        let width = (indent_of(line) + depth).saturating_sub(own);
        format!("{}{}", " ".repeat(width), line.trim_start_matches(' '))
    };
    block.iter().map(shift).collect()
}

fn character(line: &mut String, dice: &mut Dice) {
    let places: Vec<usize> = line.char_indices().map(|(i, _)| i).chain([line.len()]).collect();
    let at = places[dice.below(places.len())];
    if dice.below(3) == 0 && at < line.len() {
        line.remove(at);
    } else {
        let new = [
            '{', '}', '[', ']', ':', ',', '"', '\'', '#', '&', '*', '!', '|', '>', '-', '?', '%', '@', '`',
            '~', ' ', '\t', '0', '9', 'é', '😀', '\u{0}', '\u{85}', '\u{2028}', '\r', '<', '$', '(', ')',
            '.', '/', '\\',
        ];
        line.insert(at, new[dice.below(new.len())]);
    }
}

/// A value that is nested, or long, beyond all reason.
fn deep(line: &mut String, dice: &mut Dice) {
    let Some((key, _)) = line.split_once(": ") else { return };
    let times = [10, 60, 70, 500, 5000][dice.below(5)];
    let value = match dice.below(9) {
        0 => format!("{}{}", "[".repeat(times), "]".repeat(times)),
        1 => format!("{}1{}", "{ a: ".repeat(times), " }".repeat(times)),
        2 => format!("\"{{{{ {}1{} }}}}\"", "(".repeat(times), ")".repeat(times)),
        3 => format!("\"{{{{ 1{} }}}}\"", " + 1".repeat(times)),
        4 => format!("\"{{{{ {}n }}}}\"", "not ".repeat(times)),
        5 => format!("\"{{{{ n{} }}}}\"", " | upper".repeat(times)),
        6 => format!("\"{}\"", "{{ n }}".repeat(times)),
        7 => format!("\"{{{{ {}1{} }}}}\"", "[".repeat(times), "]".repeat(times)),
        _ => "x".repeat(times),
    };
    *line = format!("{key}: {value}");
}

/// An anchor on a value and aliases elsewhere, or a bomb of them.
fn anchors(lines: &mut Vec<String>, at: usize, dice: &mut Dice) {
    if dice.below(4) == 0 {
        lines.push("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]".into());
        for i in 1..6 + dice.below(20) {
            lines.push(format!("a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 8].join(", ")));
        }
        return;
    }
    let Some((key, value)) = lines[at].split_once(':') else { return };
    lines[at] = format!("{key}: &x{value}");
    let to = dice.below(lines.len());
    let depth = indent_of(&lines[to]);
    if dice.below(2) == 0 {
        lines.insert(to, format!("{}<<: *x", " ".repeat(depth)));
    } else if let Some((key, _)) = lines[to].split_once(": ") {
        lines[to] = format!("{key}: *x");
    }
}
