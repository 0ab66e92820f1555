//! The search for an order: Wing and Gong's, which places one operation after another and goes
//! back when it is stuck, with Lowe's memory of what was tried (Wing and Gong 1993, "Testing and
//! Verifying Concurrent Objects"; Lowe 2017, "Testing for Linearizability").
//!
//! What can be placed next: a block before which no other one must stand. Of those, few are tried:
//!
//! - Of two blocks of one kind that can be placed, the one with the earlier deadline. An order that
//!   begins with the other one stays an order when the two change places: whatever stands between
//!   them may follow the first, and may precede the second as it could the first, whose deadline
//!   is not later.
//! - A block that needs the key absent, when it is. It changes nothing; so an order in which it
//!   stands later stays one when it is moved to the front.
//!
//! That leaves at most three ways to go on, and few sets of placed blocks to remember, however many
//! operations are concurrent.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::puzzle::{Kind, Puzzle};

/// What a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order.
    Order,
    /// There is none.
    NoOrder,
    /// Nobody knows: it took too many steps.
    OutOfSteps,
}

/// Which blocks have been placed.
///
/// Invariant: `all_before` is not placed, and `beyond` are the placed ones behind it. Lowe's set of
/// linearized operations, short because only what is concurrent with `all_before` is beyond it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    all_before: usize,
    beyond: BTreeSet<usize>,
}

impl Placed {
    fn insert(&mut self, block: usize) {
        self.beyond.insert(block);
        while self.beyond.remove(&self.all_before) {
            self.all_before += 1;
        }
    }
}

/// How far an order has come.
#[derive(Debug, Clone, Default)]
struct Progress {
    state: State,
    used: Used,
}

/// What decides how it can go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    placed: Placed,
    is_present: bool,
}

/// How many optional operations an order has used. To have used fewer is never worse.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    puts: usize,
    deletes: usize,
}

/// The states that were reached, each with the fewest optional operations.
#[derive(Debug, Default)]
struct Memory {
    reached: BTreeMap<State, Vec<Used>>,
}

impl Memory {
    /// Whether `progress` is worth a try.
    fn is_new(&mut self, progress: &Progress) -> bool {
        let used = progress.used;
        if let Some(reached) = self.reached.get_mut(&progress.state) {
            let is_at_most =
                |one: Used, other: Used| one.puts <= other.puts && one.deletes <= other.deletes;
            if reached.iter().any(|before| is_at_most(*before, used)) {
                return false;
            }
            reached.retain(|before| !is_at_most(used, *before));
            reached.push(used);
            return true;
        }
        self.reached.insert(progress.state.clone(), vec![used]);
        true
    }
}

/// Looks for an order of all blocks, and uses up steps for it.
pub(super) fn search(puzzle: &Puzzle, steps_left: &mut u64) -> Found {
    let mut stack = vec![Progress::default()];
    if puzzle.begins_anyhow {
        let state = State { is_present: true, ..State::default() };
        stack.push(Progress { state, ..Progress::default() });
    }
    let mut memory = Memory::default();
    while let Some(progress) = stack.pop() {
        if progress.state.placed.all_before == puzzle.blocks.len() {
            return Found::Order;
        }
        if *steps_left == 0 {
            return Found::OutOfSteps;
        }
        *steps_left -= 1;
        let next = progress.next(puzzle);
        stack.extend(next.into_iter().filter(|progress| memory.is_new(progress)));
    }
    Found::NoOrder
}

/// The blocks that are tried next, and the time before which whatever is placed was asked for.
#[derive(Debug, Default)]
struct Candidates {
    write: Option<usize>,
    remove: Option<usize>,
    void: Option<usize>,
    deadline: Duration,
}

impl Candidates {
    fn of(puzzle: &Puzzle, placed: &Placed) -> Self {
        let first = placed.all_before;
        let others = first + 1..puzzle.blocks.len();
        let mut others = others.filter(|block| !placed.beyond.contains(block)).peekable();
        // A block must wait for those whose deadline is before its release, but not for itself.
        let deadline = puzzle.blocks[first].deadline;
        let second_deadline =
            others.peek().map_or(Duration::MAX, |block| puzzle.blocks[*block].deadline);
        let mut candidates = Self { deadline, ..Self::default() };
        candidates.meet(puzzle, first, second_deadline);
        for block in others {
            if puzzle.release_min[block] > deadline {
                break;
            }
            candidates.meet(puzzle, block, deadline);
        }
        candidates
    }

    /// Takes a block that can be placed. They come in the order of their deadlines.
    fn meet(&mut self, puzzle: &Puzzle, block: usize, release_max: Duration) {
        let candidate = match puzzle.blocks[block].kind {
            Kind::Write => &mut self.write,
            Kind::Remove => &mut self.remove,
            Kind::Void => &mut self.void,
        };
        if puzzle.blocks[block].release <= release_max {
            candidate.get_or_insert(block);
        }
    }
}

impl Progress {
    /// All that is worth a try, the most promising last.
    fn next(&self, puzzle: &Puzzle) -> Vec<Self> {
        let Self { state: State { placed, is_present }, used } = self;
        let candidates = Candidates::of(puzzle, placed);
        if let (Some(void), false) = (candidates.void, is_present) {
            return vec![self.place(void, false, *used)];
        }
        let can_stand = |optional: &[Duration], used: usize| {
            optional.get(used).is_some_and(|invoked| *invoked <= candidates.deadline)
        };
        let mut next = Vec::new();
        if let Some(block) = candidates.write {
            next.push((block, self.place(block, true, *used)));
        }
        if let Some(block) = candidates.remove {
            if *is_present {
                next.push((block, self.place(block, false, *used)));
            } else if can_stand(&puzzle.optional_puts, used.puts) {
                let used = Used { puts: used.puts + 1, ..*used };
                next.push((block, self.place(block, false, used)));
            }
        }
        if let Some(block) = candidates.void
            && can_stand(&puzzle.optional_deletes, used.deletes)
        {
            let used = Used { deletes: used.deletes + 1, ..*used };
            next.push((block, self.place(block, false, used)));
        }
        // Which one comes first decides nothing but the time: what is due, without optional ones.
        next.sort_by_key(|(block, after)| Reverse((after.used.puts + after.used.deletes, *block)));
        next.into_iter().map(|(_, after)| after).collect()
    }

    fn place(&self, block: usize, is_present: bool, used: Used) -> Self {
        let mut placed = self.state.placed.clone();
        placed.insert(block);
        Self { state: State { placed, is_present }, used }
    }
}
