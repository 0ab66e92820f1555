use super::*;

fn fault(kind: FaultKind, peers: &[&str], direction: Direction) -> Fault {
    Fault { kind, peers: peers.iter().map(ToString::to_string).collect(), direction }
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

#[test]
fn a_fault_works_on_its_peer_and_its_way_until_healed() {
    let faults = Faults::new(true);
    let cut = fault(FaultKind::Partition, &["b"], Direction::In);
    faults.apply(Some(&cut), |_| true).expect("enabled");
    assert_eq!(faults.fate(&name("b"), Way::In).copies, 0);
    assert_eq!(faults.fate(&name("b"), Way::Out), Fate::FAIR);
    assert_eq!(faults.fate(&name("c"), Way::In), Fate::FAIR);
    assert!(faults.is_cut_off(&name("b")) && !faults.is_cut_off(&name("c")));
    let heal = fault(FaultKind::Heal, &[], Direction::Both);
    assert_eq!(faults.apply(Some(&heal), |_| true).expect("enabled").faults, []);
    assert!(!faults.are_active());
}

#[test]
fn the_later_of_a_kind_replaces_the_earlier() {
    let faults = Faults::new(true);
    for probability in [0.3, 1.0] {
        let drop = fault(FaultKind::Drop(probability), &["b"], Direction::Both);
        faults.apply(Some(&drop), |_| true).expect("enabled");
    }
    let active = faults.apply(None, |_| true).expect("enabled").faults;
    assert_eq!(active.len(), 1);
    assert_eq!(faults.fate(&name("b"), Way::Out).copies, 0);
}

#[test]
fn a_slow_disk_is_none_of_the_links_matter() {
    let faults = Faults::new(true);
    let slow = fault(FaultKind::Disk(Duration::from_secs(3)), &[], Direction::Both);
    let active = faults.apply(Some(&slow), |_| true).expect("enabled").faults;
    assert_eq!(active.first().and_then(|fault| fault.amount), Some(3_000.0));
    assert!(!faults.are_active());
    assert_eq!(faults.disk_delay(), Duration::from_secs(3));
    let heal = fault(FaultKind::Heal, &[], Direction::Both);
    assert_eq!(faults.apply(Some(&heal), |_| true).expect("enabled").faults, []);
    assert!(faults.disk_delay().is_zero());
}

#[test]
fn a_clock_is_fast_or_slow_until_healed() {
    let faults = Faults::new(true);
    for ms in [3_600_000, -3_600_000] {
        let clock = fault(FaultKind::Clock(ms), &[], Direction::Both);
        let active = faults.apply(Some(&clock), |_| true).expect("enabled").faults;
        let shown = active.iter().map(|fault| (fault.fault.as_str(), fault.amount));
        assert_eq!(shown.collect::<Vec<_>>(), [("clock", Some(ms as f64))]);
        assert_eq!((faults.clock_offset_ms(), faults.are_active()), (ms, false));
    }
    let heal = |peers| fault(FaultKind::Heal, peers, Direction::Both);
    faults.apply(Some(&heal(&["b"])), |_| true).expect("enabled");
    assert_ne!(faults.clock_offset_ms(), 0);
    assert_eq!(faults.apply(Some(&heal(&[])), |_| true).expect("enabled").faults, []);
    assert_eq!(faults.clock_offset_ms(), 0);
}

#[test]
fn nobody_makes_faults_who_was_not_allowed_to() {
    let denied = Faults::new(false).apply(None, |_| true).expect_err("not enabled");
    assert_eq!(denied.code, ErrorCode::Denied);
    let stranger = fault(FaultKind::Partition, &["x"], Direction::Both);
    let refused = Faults::new(true).apply(Some(&stranger), |_| false).expect_err("unknown");
    assert_eq!(refused.code, ErrorCode::BadRequest);
}
