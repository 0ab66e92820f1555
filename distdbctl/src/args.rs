//! The command line: the flags of all commands, and how it is read.

pub(crate) mod command;

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, ValueEnum};
use common::causal::clock::Dot;
use common::causal::context::Context;
use common::kv::key::check_prefix;
use common::kv::value::VALUE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::args::command::Command;
use crate::args::command::keys::{Conflicts, Put, Resolve, Source};
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

    /// Remember in this file what was seen: no later command with it sees less, on whichever node
    #[arg(
        long,
        global = true,
        env = "DISTDB_SESSION",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub(crate) session: Option<OsString>,

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
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
    if let Some(source) = source(&mut args.command) {
        // Behind `--` nothing has a special meaning: `put KEY -- "$value"` must store a `-` too.
        let literals = words.iter().skip_while(|word| *word != "--").skip(1);
        source.is_literal = source.value.is_some() && literals.last() == source.value.as_ref();
    }
    Ok(args)
}

/// Where a command has its value from, if it takes one.
fn source(command: &mut Command) -> Option<&mut Source> {
    if let Command::Put(Put { source, .. })
    | Command::Conflicts(Conflicts::Resolve(Resolve { source, .. })) = command
    {
        return Some(source);
    }
    None
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

/// As flock(1) has it: a number alone is of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let number = text.parse::<f64>().ok().filter(|_| is_number);
    match number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) if duration <= DURATION_MAX => Ok(duration),
        Some(_) => Err("it takes a year at most".to_owned()),
        None => duration_or_zero(text),
    }
}

/// Shorter than an answer may take on a busy machine, a lease would be lost for nothing.
const TTL_MIN: Duration = Duration::from_secs(1);

/// How long a lease lasts.
fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration_or_zero(text)?;
    if ttl >= TTL_MIN { Ok(ttl) } else { Err("it takes 1s at least".to_owned()) }
}

/// A duration that may be below zero, in milliseconds.
fn offset(text: &str) -> Result<i64, String> {
    let (is_negative, length) = match text.strip_prefix('-') {
        Some(length) => (true, length),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let wrong = "it takes a duration with or without a sign, such as 1h, -1h or 0s";
    let length = duration_or_zero(length).map_err(|_| wrong)?;
    let ms = i64::try_from(length.as_millis()).map_err(|_| wrong)?;
    Ok(if is_negative { -ms } else { ms })
}

/// A write, as siblings are shown with it.
fn dot(text: &str) -> Result<Dot, String> {
    let context = text.parse::<Context>().ok().filter(|_| text.contains(':'));
    let mut dots = context.iter().flat_map(Context::iter);
    match (dots.next(), dots.next()) {
        (Some(dot), None) => Ok(dot),
        (None, _) | (Some(_), Some(_)) => {
            Err("it takes NODE:COUNTER, as conflicts show prints it".to_owned())
        }
    }
}

/// What the digits of the benchmark's keys are put behind.
fn key_prefix(text: &str) -> Result<String, String> {
    if text.len() > KEY_PREFIX_BYTES_MAX {
        return Err(format!("it takes {KEY_PREFIX_BYTES_MAX} bytes at most"));
    }
    check_prefix(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// Leaves a key room for the digits behind it.
const KEY_PREFIX_BYTES_MAX: usize = 1_000;

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
mod tests;
