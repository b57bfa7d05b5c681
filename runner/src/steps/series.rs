//! Where the samples of a step go.

use crate::prepare::{ScenarioProgram, Tagged};
use crate::record::{Cell as Sample, Family, Key, Labels, Recorder};
use crate::text::Text;
use crate::views::Moment;
use crate::vu::Vu;
use planc::eval::EvalError;
use std::collections::BTreeMap;

/// One play of a step.
#[derive(Clone, Copy)]
pub(super) struct Play<'a> {
    /// Step number.
    pub(super) step: u32,
    /// Tags without slots.
    pub(super) tags: &'a BTreeMap<String, String>,
    /// Tags with slots.
    pub(super) slotted: &'a [(String, Text)],
    /// The values of those.
    pub(super) variant: u32,
    /// Of an iteration that was started late.
    pub(super) late: bool,
    /// When it was to start.
    pub(super) at: Option<Moment>,
}

/// The number of this iteration's values of templated tags.
pub(super) fn variant(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    step: u32,
    name: &str,
    slotted: &[(String, Text)],
) -> Result<u32, EvalError> {
    if slotted.is_empty() {
        return Ok(0);
    }
    let mut values = std::mem::take(&mut vu.buffer);
    values.clear();
    for (_, text) in slotted {
        text.render(&vu.scope(scenario), &mut values)?;
        values.push('\u{1f}');
    }
    let variant = vu.worker.recorder.borrow_mut().variant(step, &values, name);
    vu.buffer = values;
    Ok(variant)
}

impl<'a> Play<'a> {
    /// Of a step with samples of its own.
    pub(super) fn of(tagged: &'a Tagged, variant: u32, late: bool, at: Option<Moment>) -> Self {
        let Tagged { step, tags, slotted_tags, .. } = tagged;
        Play { step: *step, tags, slotted: slotted_tags, variant, late, at }
    }

    /// Adds to a series, which may have more tags than the step.
    pub(super) fn add(
        &self,
        recorder: &mut Recorder,
        family: Family,
        result: u64,
        fresh: impl FnOnce() -> (String, Vec<(&'static str, String)>, Sample),
        add: impl Fn(&mut Sample),
    ) {
        let Play { step, tags, slotted, variant, late, at } = *self;
        let key = Key { owner: step, family, variant, result, late };
        let values = if variant == 0 { None } else { recorder.variant_values(variant) };
        let fresh = || {
            let (metric, more, cell) = fresh();
            let mut tags = tags.clone();
            if variant != 0 {
                let values = values.as_deref().unwrap_or("");
                let mut values = values.split('\u{1f}');
                for (name, _) in slotted {
                    let value = if Recorder::is_overflow(variant) { Some("(other)") } else { values.next() };
                    tags.insert(name.clone(), value.unwrap_or("").to_owned());
                }
            }
            tags.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
            (Labels { metric, tags, late }, cell)
        };
        recorder.add(key, at, fresh, add);
    }

    /// Adds a check; `more` are tags that say what came back.
    pub(super) fn check(
        &self,
        recorder: &mut Recorder,
        family: Family,
        result: u64,
        name: &dyn std::fmt::Display,
        more: Vec<(&'static str, String)>,
        held: bool,
    ) {
        let fresh = || {
            let tags = [vec![("check", name.to_string())], more].concat();
            ("checks".into(), tags, Sample::Rate(0, 0))
        };
        self.add(recorder, family, result, fresh, |cell| {
            if let Sample::Rate(trues, total) = cell {
                *trues += u64::from(held);
                *total += 1;
            }
        });
    }
}
