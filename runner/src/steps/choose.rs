//! `choose`: one branch by weight; in a rehearsal every branch in turn.

use super::Frame;
use crate::prepare::{ChooseOp, Op};
use crate::vu::Vu;

/// Where to go on.
pub(super) fn begin(vu: &mut Vu, op: &ChooseOp) -> usize {
    vu.worker.count_step(op.step);
    if vu.all_branches {
        vu.frames.push(Frame::Branch(1));
        return op.starts[0];
    }
    let total = op.sums.last().copied().unwrap_or(1).max(1);
    // Multiply and shift: no modulo bias worth the name at weights far below 2^32.
    let drawn = ((u128::from(vu.env.random()) * u128::from(total)) >> 64) as u64;
    let branch = op.sums.partition_point(|sum| *sum <= drawn).min(op.starts.len() - 1);
    op.starts[branch]
}

/// Where to go on after a branch.
pub(super) fn end(vu: &mut Vu, ops: &[Op], choose: usize, end: usize) -> usize {
    if !vu.all_branches {
        return end;
    }
    if let (Some(Frame::Branch(next)), Op::Choose(op)) = (vu.frames.last_mut(), &ops[choose])
        && let Some(start) = op.starts.get(*next)
    {
        *next += 1;
        return *start;
    }
    vu.frames.pop();
    end
}
