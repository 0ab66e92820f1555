//! The command line: the flags of all commands, and how it is read.

pub(crate) mod command;

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, ValueEnum};
use common::kv::value::VALUE_BYTES_MAX;

use crate::args::command::Command;
use crate::help;
use crate::problem::Problem;

/// The command line of distdb: reads, writes and looks after one node
#[derive(Debug, Parser)]
#[command(name = "distdbctl", version)]
#[command(after_help = help::AFTER_HELP, after_long_help = help::AFTER_LONG_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags of all commands, before or after the command.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Flags of all commands")]
pub(crate) struct Globals {
    /// The daemon's control socket
    #[arg(long, global = true, env = "DISTDB_SOCKET", hide_env_values = true, value_name = "PATH")]
    pub(crate) socket: Vec<OsString>,

    /// The daemon's name, whose socket is in the runtime directory
    #[arg(
        long,
        global = true,
        env = "DISTDB_NODE",
        hide_env_values = true,
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) node: Vec<String>,

    /// Where the sockets of nodes are
    #[arg(
        long,
        global = true,
        env = "DISTDB_RUNTIME_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub(crate) runtime_dir: Option<OsString>,

    /// How long to wait for the node, connecting and further tries included
    #[arg(long, global = true, env = "DISTDB_TIMEOUT", hide_env_values = true, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// What stdout looks like
    #[arg(
        short,
        long,
        global = true,
        env = "DISTDB_OUTPUT",
        hide_env_values = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    pub(crate) output: Format,

    /// No messages on stderr; the exit code tells
    #[arg(short, long, global = true, env = "DISTDB_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,

    /// Say more
    #[arg(short, long, global = true, env = "DISTDB_VERBOSE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) verbose: bool,
}

/// What stdout looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, and for lines of tab-separated cells
    #[default]
    Text,
    /// One JSON object a line
    Json,
    /// Bytes as they are
    Raw,
}

/// Reads a command line; `Err` is what clap has to say, be it a mistake or the help asked for.
pub(crate) fn parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let mut args = Args::from_arg_matches(&command(words).try_get_matches_from(words)?)?;
    if let Command::Put(put) = &mut args.command {
        // Behind `--` nothing has a special meaning: `put KEY -- "$value"` must store a `-` too.
        let literals = words.iter().skip_while(|word| *word != "--").skip(1);
        put.is_literal = put.value.is_some() && literals.last() == put.value.as_ref();
    }
    Ok(args)
}

/// The definition, without the variables of flags that are given: clap would refuse a bad
/// variable although the flag beats it.
fn command(words: &[OsString]) -> clap::Command {
    let flags: Vec<_> = words.iter().take_while(|word| *word != "--").collect();
    let is_given = |arg: &clap::Arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        let mut forms = [long, short].into_iter().flatten();
        forms.any(|form| flags.iter().any(|flag| flag.to_string_lossy().starts_with(&form)))
    };
    Args::command().mut_args(|arg| if is_given(&arg) { arg.env(None) } else { arg })
}

/// What is wrong with a command line that clap refused, as one line.
pub(crate) fn problem(error: &clap::Error) -> Problem {
    let is_missing =
        [ErrorKind::MissingSubcommand, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
    if is_missing.contains(&error.kind()) {
        return Problem::usage("a command is missing").with_hint("--help lists them");
    }
    let text = error.render().to_string();
    let told = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<_> = told.filter(|line| !line.is_empty()).collect();
    let (tips, told): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|line| line.starts_with("tip:"));
    let told = told.join(" ");
    let message = told.trim_start_matches("error: ").trim_end_matches('.');
    let message = message.split(" For more information").next().unwrap_or(message);
    let tip = tips.first().map(|tip| tip.trim_start_matches("tip: "));
    Problem::usage(message).with_hint(tip.unwrap_or("--help tells more"))
}

/// Whether a command line that could not be read asks for JSON all the same.
pub(crate) fn wants_json(words: &[OsString]) -> bool {
    let is_json = |value: &OsString| value == "json";
    let flags = words.iter().zip(words.iter().skip(1));
    let mut flags = flags.filter(|(flag, _)| *flag == "-o" || *flag == "--output");
    flags.any(|(_, value)| is_json(value))
        || words.iter().any(|word| word == "-ojson" || word == "--output=json")
        || std::env::var_os("DISTDB_OUTPUT").is_some_and(|value| is_json(&value))
}

/// Nobody waits longer than that; and clocks can be added to it.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

fn duration_or_zero(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|_| "it takes a duration, such as 250ms, 5s, 2m or 1h")?;
    if duration > DURATION_MAX { Err("it takes a year at most".to_owned()) } else { Ok(duration) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    let is_enough = duration >= Duration::from_millis(1);
    if is_enough { Ok(duration) } else { Err("it takes 1ms at least".to_owned()) }
}

fn value_size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) => (digits, 1 << 20),
        None => (text, 1),
    };
    let size = digits.parse::<usize>().ok().and_then(|digits| digits.checked_mul(unit));
    let size = size.ok_or("it takes a size, such as 256, 64K or 1M")?;
    if size > VALUE_BYTES_MAX { Err("it takes 1M at most".to_owned()) } else { Ok(size) }
}

#[cfg(test)]
mod tests {
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
            (put.value.map(|value| value.into_string().unwrap()), put.is_literal)
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
            ("get k --read session", "session"),
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
        assert_eq!(how("get k --read stale"), Some(Read::Stale));
        assert_eq!(how("get k --stale"), Some(Read::Stale));
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
}
