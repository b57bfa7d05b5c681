//! Sources of samples by what they carry, so that a plan of a thousand gates is not searched a thousand times.

use super::emits::{Emitter, TagValue};
use super::metrics::Family;
use std::collections::BTreeMap;

/// Places in the list of sources, in order.
type Places = Vec<usize>;

/// Finds the sources that a selector can see.
pub(super) struct Index<'a> {
    emitters: &'a [Emitter],
    families: BTreeMap<&'a Family, Group<'a>>,
}

#[derive(Default)]
struct Group<'a> {
    all: Places,
    tags: BTreeMap<&'a str, Tag<'a>>,
}

/// Sources that carry a tag: those whose values the plan says, by value, and the others.
#[derive(Default)]
struct Tag<'a> {
    said: BTreeMap<&'a str, Places>,
    others: Places,
}

impl<'a> Index<'a> {
    pub(super) fn new(emitters: &'a [Emitter]) -> Self {
        let mut families: BTreeMap<&Family, Group<'_>> = BTreeMap::new();
        for (at, emitter) in emitters.iter().enumerate() {
            let group = families.entry(&emitter.family).or_default();
            group.all.push(at);
            for (tag, value) in &emitter.tags {
                let tag = group.tags.entry(tag).or_default();
                match value {
                    TagValue::Plan(values) => {
                        values.iter().for_each(|value| tag.said.entry(value).or_default().push(at));
                    }
                    _ => tag.others.push(at),
                }
            }
        }
        Index { emitters, families }
    }

    /// The sources of a family that can carry all these tags, in order.
    pub(super) fn sources(&self, family: &Family, selector: &BTreeMap<String, String>) -> Vec<&'a Emitter> {
        let Some(group) = self.families.get(family) else { return Vec::new() };
        let mut places: Places = match self.narrowest(group, selector) {
            Some((said, others)) => [said, others].concat(),
            None => group.all.clone(),
        };
        places.sort_unstable();
        places.dedup();
        let found = places.into_iter().map(|at| &self.emitters[at]);
        found.filter(|emitter| emitter.matches(selector)).collect()
    }

    /// The fewest places that hold all sources of a selector; none when it has no tags.
    fn narrowest<'g>(
        &self,
        group: &'g Group<'a>,
        selector: &BTreeMap<String, String>,
    ) -> Option<(&'g [usize], &'g [usize])> {
        let nowhere = (&[][..], &[][..]);
        let places = selector.iter().map(|(tag, value)| {
            group.tags.get(tag.as_str()).map_or(nowhere, |tag| {
                (tag.said.get(value.as_str()).map_or(&[][..], Vec::as_slice), tag.others.as_slice())
            })
        });
        places.min_by_key(|(said, others)| said.len() + others.len())
    }
}
