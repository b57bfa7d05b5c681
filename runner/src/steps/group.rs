//! `group`: inner steps under a name, and how long they took.

use super::Frame;
use crate::prepare::GroupOp;
use crate::record::{Cell as Sample, Family, Key, Labels};
use crate::vu::Vu;
use std::time::Instant;

/// Enters a group.
pub(super) fn begin(vu: &mut Vu, step: u32) {
    vu.worker.count_step(step);
    vu.frames.push(Frame::Group(Instant::now()));
}

/// Leaves a group that was played to its end.
pub(super) fn end(vu: &mut Vu, op: &GroupOp) {
    let Some(Frame::Group(begun)) = vu.frames.pop() else { return };
    if vu.rehearsal.is_some() {
        return;
    }
    let key = Key { owner: op.step, family: Family::Group, variant: 0, result: 0, late: vu.late };
    let mut recorder = vu.worker.recorder.borrow_mut();
    let cell = recorder.cell(key, || {
        let labels = Labels { metric: "group_duration".into(), tags: op.tags.clone(), late: vu.late };
        (labels, Sample::Trend(Default::default()))
    });
    if let Sample::Trend(dist) = cell {
        dist.add(begun.elapsed().as_micros() as u64);
    }
}
