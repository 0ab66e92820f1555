//! What a detector makes of peers that live, die, pause and stutter.

use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = Duration::from_millis(100);

/// A node that looks once per interval at one peer.
struct Run {
    detector: Detector,
    now: Time,
    next_look: Time,
    changes: Vec<Transition>,
}

impl Run {
    fn new() -> Self {
        let now = Time(Duration::from_secs(9));
        let detector = Detector::new(now, INTERVAL);
        Self { detector, now, next_look: now + INTERVAL / 3, changes: Vec::new() }
    }

    /// After these gaps, in milliseconds.
    fn after(gaps: &[u64]) -> Self {
        let mut run = Self::new();
        gaps.iter().for_each(|gap| run.beat(*gap));
        run
    }

    /// Nothing is heard for so many milliseconds.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while self.next_look <= until {
            self.changes.extend(self.detector.look(self.next_look));
            self.next_look = self.next_look + INTERVAL;
        }
        self.now = until;
    }

    /// A heartbeat comes after so many milliseconds.
    fn beat(&mut self, ms: u64) {
        self.wait(ms);
        self.changes.extend(self.detector.hear(self.now));
    }

    /// This node does nothing at all for so long.
    fn stop(&mut self, time: Duration) {
        self.now = self.now + time;
        self.next_look = self.now;
    }

    fn level(&self) -> f64 {
        self.detector.level(self.now)
    }
}

/// Gaps of up to three intervals: no heartbeat is more than twice as late as it should be.
fn gaps() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0_u64..=300, 0..250)
}

proptest! {
    /// Strong accuracy for who is heard every three intervals, completeness for who is not: as
    /// the mean is at most 3 and the deviation at most 1.5, the bound is 3 + 3 + 5.23 * 1.5
    /// intervals, and one until the next look.
    #[test]
    fn who_lives_is_trusted_and_who_dies_is_suspected(gaps in gaps()) {
        let mut run = Run::after(&gaps);
        prop_assert_eq!(&run.changes, &[]);
        run.wait(1_500);
        prop_assert_eq!(&run.changes, &[Transition::Suspect]);
        let since = run.detector.since();
        run.wait(600_000);
        prop_assert_eq!(&run.changes, &[Transition::Suspect]);
        prop_assert!(run.detector.is_suspected() && since == run.detector.since());
    }

    /// Eventual accuracy: a link that is far worse than what was expected is suspected for a while
    /// at most.
    #[test]
    fn who_comes_irregularly_is_trusted_in_the_end(
        gaps in prop::collection::vec(0_u64..=800, 500)
    ) {
        let mut run = Run::after(&gaps[..100]);
        run.changes.clear();
        gaps[100..].iter().for_each(|gap| run.beat(*gap));
        prop_assert!(!run.changes.contains(&Transition::Suspect), "{:?}", run.changes);
        prop_assert!(!run.detector.is_suspected());
    }

    /// L12: `fault pause` of a peer, for whatever time, gives one transition each way at most.
    #[test]
    fn a_pause_of_a_peer_is_one_suspicion_at_most(
        before in gaps(), pause in 0_u64..10_000, after in prop::collection::vec(0_u64..=300, 100)
    ) {
        let mut run = Run::after(&before);
        run.beat(pause);
        let is_long = run.detector.is_suspected();
        prop_assert!(is_long || pause < 1_500);
        after.iter().for_each(|gap| run.beat(*gap));
        let both = [Transition::Suspect, Transition::Trust];
        prop_assert_eq!(&run.changes[..], if is_long { both.as_slice() } else { &[] });
    }

    /// Phi is monotone in silence, a number, and bounded.
    #[test]
    fn the_level_only_grows_while_nothing_is_heard(
        gaps in gaps(), waits in prop::collection::vec((0_u64..5_000, any::<bool>()), 1..30)
    ) {
        let mut run = Run::after(&gaps);
        let mut level = run.level();
        for (ms, looks) in waits {
            if looks { run.wait(ms) } else { run.stop(Duration::from_millis(ms)) }
            prop_assert!((level..=LEVEL_MAX).contains(&run.level()), "{level}, {}", run.level());
            level = run.level();
        }
        run.wait(60_000);
        prop_assert_eq!(run.level(), LEVEL_MAX);
    }

    /// L12, L13: a node that was stopped, or its machine suspended, suspects none of its peers,
    /// whether it looks first or reads first what has come meanwhile; and it still finds the dead.
    #[test]
    fn a_node_that_was_stopped_suspects_nobody(
        gaps in gaps(), stops in prop::collection::vec((1_u64..100_000, 0_u64..3), 1..20)
    ) {
        let mut run = Run::after(&gaps);
        for (seconds, late) in stops {
            run.beat(100);
            run.stop(Duration::from_secs(seconds));
            prop_assert!(run.level() < SUSPECT_LEVEL);
            run.beat(late * 50);
            prop_assert_eq!(&run.changes, &[]);
        }
        run.stop(Duration::from_secs(1));
        run.wait(1_500);
        prop_assert_eq!(&run.changes, &[Transition::Suspect]);
    }
}

/// With heartbeats as regular as can be, the dead are found in less than an election timeout.
#[test]
fn a_regular_peer_is_missed_soon_and_not_at_once() {
    let mut run = Run::after(&[100; 200]);
    run.wait(600);
    assert_eq!(run.changes, []);
    run.wait(200);
    assert_eq!(run.changes, [Transition::Suspect]);
    assert_eq!(run.detector.since().map(|since| run.now.since(since) < INTERVAL * 2), Some(true));
}

/// L12: trust takes more than a burst, and more than a few heartbeats that take long.
#[test]
fn trust_comes_back_after_some_heartbeats_in_time() {
    for (burst, gap) in [(50, 100), (1, 300)] {
        let mut run = Run::after(&[100; 50]);
        run.wait(5_000);
        (0..burst).for_each(|_| run.beat(0));
        (0..4).for_each(|_| run.beat(gap));
        assert_eq!(run.changes, [Transition::Suspect]);
        run.beat(gap);
        assert_eq!(run.changes, [Transition::Suspect, Transition::Trust]);
        assert_eq!((run.detector.is_suspected(), run.detector.since()), (false, None));
    }
}

#[test]
fn heartbeats_that_come_late_bring_no_trust() {
    let mut run = Run::after(&[100; 100]);
    run.beat(5_000);
    (0..5).for_each(|_| run.beat(500));
    assert!(run.detector.is_suspected());
    (0..5).for_each(|_| run.beat(200));
    assert_eq!(run.changes, [Transition::Suspect, Transition::Trust]);
}

#[test]
fn one_pause_does_not_blunt_the_detector() {
    let mut run = Run::after(&[100; 100]);
    let before = run.detector.patience();
    run.beat(3_600_000);
    assert!(run.detector.patience() < before * 11 / 10);
    let mut rare = Run::after(&[10_000; 300]);
    assert!(rare.detector.patience() <= micros(INTERVAL * (GAP_INTERVALS_MAX + 6)));
    rare.wait(4_000);
    assert!(rare.detector.is_suspected());
}

/// L12: what comes and goes, in bursts or in turn with silences, is one transition each way.
#[test]
fn a_link_that_comes_and_goes_does_not_flap() {
    let short: &[u64] = &[100, 100, 100, 900];
    let bursts: &[u64] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1_000];
    let slow: &[u64] = &[1_000];
    for pattern in [short, bursts, slow] {
        for regular in [0, 100] {
            let mut run = Run::after(&vec![100; regular]);
            (0..500).flat_map(|_| pattern).for_each(|gap| run.beat(*gap));
            assert!(run.changes.len() <= 2, "{pattern:?}: {:?}", run.changes);
            assert!(!run.detector.is_suspected(), "{pattern:?}");
        }
    }
}

#[test]
fn patience_ends_at_the_level_of_suspicion() {
    let mut run = Run::after(&[100, 250, 10, 300, 70]);
    let patience = run.detector.patience();
    run.wait(patience / 1_000);
    assert!((run.level() - SUSPECT_LEVEL).abs() < 0.1, "{}", run.level());
    assert_eq!(run.changes, []);
    run.wait(100);
    assert_eq!(run.changes, [Transition::Suspect]);
}

#[test]
fn an_interval_of_no_time_or_of_ages_is_no_trouble() {
    for interval in [Duration::ZERO, Duration::MAX] {
        let mut detector = Detector::new(Time::default(), interval);
        for ms in [0, 5, 1 << 20, 1 << 60] {
            let now = Time(Duration::from_millis(ms));
            assert!((0.0..=LEVEL_MAX).contains(&detector.level(now)));
            let _ = (detector.look(now), detector.hear(now), detector.hear(Time::default()));
        }
    }
}
