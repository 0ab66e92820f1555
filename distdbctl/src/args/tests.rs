use clap::CommandFactory;
use common::control::request::Read;

use super::*;

fn words(line: &str) -> Vec<OsString> {
    ["distdbctl"].into_iter().chain(line.split(' ')).map(OsString::from).collect()
}

fn read(line: &str) -> Args {
    parse(&words(line)).expect(line)
}

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn flags_stand_before_or_after_the_command() {
    for line in ["--node n -o json --timeout 2s get k", "get k --node=n -ojson --timeout 2s"] {
        let globals = read(line).globals;
        assert_eq!(globals.node, ["n"], "{line}");
        assert_eq!(globals.output, Format::Json, "{line}");
        assert_eq!(globals.timeout, Duration::from_secs(2), "{line}");
    }
}

/// C3, C4: what a value may look like.
#[test]
fn a_value_is_what_stands_behind_the_key() {
    let value = |line: &str| {
        let Command::Put(put) = read(line).command else { panic!("{line} is a put") };
        let value = put.source.value.map(|value| value.into_string().unwrap());
        (value, put.source.is_literal)
    };
    let (some, none) = (|text: &str, is_literal| (Some(text.to_owned()), is_literal), None);
    assert_eq!(value("put k"), (none, false));
    assert_eq!(value("put k -"), some("-", false));
    assert_eq!(value("put k -5"), some("-5", false));
    assert_eq!(value("put k -- -"), some("-", true));
    assert_eq!(value("put -- k -"), some("-", true));
    assert_eq!(value("put -- -"), (None, false));
    assert_eq!(value("put k -- --help"), some("--help", true));
    assert_eq!(value("put k -- --"), some("--", true));
    assert_eq!(value("put k "), some("", false));
    assert!(read("put k -v").globals.verbose);
}

#[test]
fn a_session_is_a_flag_of_all_commands() {
    for line in ["--session s get k", "get k --session=s", "conflicts list --session s"] {
        assert_eq!(read(line).globals.session, Some("s".into()), "{line}");
    }
}

#[test]
fn a_mistake_is_told_in_one_line() {
    for (line, told) in [
        ("--quiet", "command"),
        ("fault", "command"),
        ("get", "<KEY>"),
        ("get k --nod n", "--nod"),
        ("git k", "git"),
        ("get k --timeout soon", "duration"),
        ("get k --timeout 0s", "1ms"),
        ("watch --count 0", "--count"),
        ("delete", "KEY"),
        ("delete k --prefix p", "--prefix"),
        ("list --keys --count", "--count"),
        ("bench --value-size 2M", "1M"),
        ("fault partition", "PEERS"),
        ("member remove", "<NAME>"),
        ("mode set a/ paxos", "paxos"),
        ("explain --for rain", "rain"),
        ("get k --read fresh", "fresh"),
        ("put k v --acks 0", "--acks"),
        ("put k v --acks most", "majority or all"),
        ("get k --context node1:7", "--context"),
        ("incr k many", "many"),
        ("add k", "<ELEMENT>"),
        ("conflicts", "command"),
        ("conflicts resolve k v --take 1:1", "--take"),
        ("conflicts resolve k --take node1:1", "NODE:COUNTER"),
        ("fault clock soon", "-1h"),
        ("watch --initial --from 3", "--initial"),
        ("watch --only rain", "rain"),
        ("watch --deliver batch", "CMD"),
        ("watch --progress -- cat", "--progress"),
        ("lock", "<NAME>"),
        ("lock l -n -w 1s", "--wait"),
        ("lock l -s -x", "--exclusive"),
        ("lock l -s --slots 2", "--slots"),
        ("lock l --slots 0", "--slots"),
        ("lock l --ttl 10ms", "1s"),
        ("lock l -w soon", "duration"),
        ("elect e", "VALUE"),
        ("elect e v --observe", "--observe"),
        ("bench --acks 0", "--acks"),
        ("get k --read stale --stale", "--stale"),
    ] {
        let error = parse(&words(line)).expect_err(line);
        let problem = problem(&error);
        assert!(problem.message.contains(told), "{line}: {problem}");
        assert!(!problem.message.contains('\n'), "{line}: {problem}");
    }
}

#[test]
fn a_read_may_be_told_how_fresh_it_is_to_be() {
    let how = |line: &str| {
        let Command::Get(get) = read(line).command else { panic!("{line} is a get") };
        get.freshness.read()
    };
    assert_eq!(how("get k"), None);
    assert_eq!(how("get k --read linearizable"), Some(Read::Linearizable));
    assert_eq!(how("get k --read session"), Some(Read::Session));
    assert_eq!(how("get k --read stale"), Some(Read::Stale));
    assert_eq!(how("get k --stale"), Some(Read::Stale));
}

#[test]
fn a_lock_is_claimed_as_flock_does() {
    let claim = |line: &str| {
        let Command::Lock(lock) = read(line).command else { panic!("{line} is a lock") };
        lock.claim
    };
    assert_eq!(claim("lock l -w 10s").wait, Some(Duration::from_secs(10)));
    assert_eq!(claim("lock l --wait 0.5").wait, Some(Duration::from_millis(500)));
    assert_eq!(claim("lock l --wait 250ms").wait, Some(Duration::from_millis(250)));
    assert_eq!(claim("lock l -n").conflict_exit_code, 4);
    let claim = claim("lock l -n -E 9 -- sh -c x -n");
    assert!(claim.nonblock);
    assert_eq!(claim.conflict_exit_code, 9);
    assert_eq!(claim.command, ["sh", "-c", "x", "-n"]);
}

#[test]
fn a_clock_may_be_fast_or_slow() {
    for (text, ms) in [("1h", 3_600_000), ("-1h", -3_600_000), ("+5ms", 5), ("0s", 0)] {
        assert_eq!(offset(text), Ok(ms), "{text}");
    }
    for bad in ["", "-", "--1h", "1", "-2000y"] {
        assert!(offset(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn numbers_may_be_negative() {
    let Command::Incr(incr) = read("incr k -5").command else { panic!("it is an incr") };
    assert_eq!(incr.delta, -5);
    let Command::Incr(incr) = read("incr k").command else { panic!("it is an incr") };
    assert_eq!(incr.delta, 1);
    let Command::Add(add) = read("add k -5 a").command else { panic!("it is an add") };
    assert_eq!(add.elements, ["-5", "a"]);
}

#[test]
fn a_sibling_is_taken_by_its_write() {
    let line = "conflicts resolve k --take 000000000000001a:7";
    let Command::Conflicts(Conflicts::Resolve(resolve)) = read(line).command else {
        panic!("it resolves")
    };
    assert_eq!(resolve.take.map(|dot| dot.to_string()), Some("000000000000001a:7".to_owned()));
    for bad in ["", "000000000000001a:0", "000000000000001a:1,000000000000001b:1"] {
        assert!(dot(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn sizes_have_units() {
    assert_eq!(value_size("0"), Ok(0));
    assert_eq!(value_size("64K"), Ok(65_536));
    assert_eq!(value_size("1M"), Ok(1_048_576));
    for bad in ["", "K", "-1", "1.5K", "1k", "99999999999999999999M"] {
        assert!(value_size(bad).is_err(), "{bad:?}");
    }
}
