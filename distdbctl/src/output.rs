//! The only place that prints. stdout has data and nothing else; messages go to stderr, one line
//! each.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use clap::error::ErrorKind;
use common::identity::NodeName;
use serde::{Deserialize, Serialize};

use crate::args::{self, Format, Globals};
use crate::escape::escape;
use crate::exit::Exit;
use crate::problem::{Code, OwnCode, Problem};

/// What is written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// What a command has to say.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    is_quiet: bool,
    is_verbose: bool,
    stdout: BufWriter<Stdout>,
}

/// How messages are said.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Voice {
    format: Format,
    is_quiet: bool,
}

impl Output {
    /// That of a process that another of ours has started.
    pub(crate) fn speaking(voice: Voice) -> Self {
        let Voice { format, is_quiet } = voice;
        Self::new(&Globals { output: format, quiet: is_quiet, ..Globals::default() })
    }

    pub(crate) fn voice(&self) -> Voice {
        Voice { format: self.format, is_quiet: self.is_quiet }
    }

    pub(crate) fn new(globals: &Globals) -> Self {
        Self {
            format: globals.output,
            is_quiet: globals.quiet,
            is_verbose: globals.verbose,
            stdout: BufWriter::with_capacity(WRITE_BYTES, io::stdout()),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.is_verbose
    }

    /// Whether somebody looks at stderr who may be shown how far things are.
    pub(crate) fn has_spectator(&self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        !self.is_quiet && !is_dumb && io::stderr().is_terminal()
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.stdout.write_all(bytes).map_err(|error| unwritable(&error))
    }

    /// Bytes as they are, and a newline.
    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.bytes(bytes)?;
        self.bytes(b"\n")
    }

    /// A JSON object.
    pub(crate) fn json(&mut self, object: &impl Serialize) -> Result<(), Problem> {
        let line = serde_json::to_vec(object).expect("strings and numbers serialize");
        self.line(&line)
    }

    /// A line of cells, escaped unless bytes are wanted as they are.
    pub(crate) fn cells(&mut self, cells: &[&[u8]]) -> Result<(), Problem> {
        let mut line = Vec::new();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                line.push(b'\t');
            }
            match self.format {
                Format::Raw => line.extend_from_slice(cell),
                Format::Text | Format::Json => escape(cell, &mut line),
            }
        }
        self.line(&line)
    }

    /// A table: with borders for people, else lines of cells, the first of which names them.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Problem> {
        if self.format == Format::Text && io::stdout().is_terminal() {
            let mut table = comfy_table::Table::new();
            table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
            table.set_header(header).add_rows(rows);
            return self.line(table.to_string().as_bytes());
        }
        self.cells(&header.iter().map(|name| name.as_bytes()).collect::<Vec<_>>())?;
        for row in rows {
            self.cells(&row.iter().map(String::as_bytes).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Lets readers have what was printed.
    pub(crate) fn flush(&mut self) -> Result<(), Problem> {
        self.stdout.flush().map_err(|error| unwritable(&error))
    }

    /// A message that does not change how the command ends.
    pub(crate) fn note(&self, message: &str) {
        if !self.is_quiet {
            say(message);
        }
    }

    /// Why the command failed.
    pub(crate) fn fail(&mut self, problem: &Problem) -> Exit {
        // What was found before the failure is still data; if it can't be printed, one reason
        // is enough.
        let _ = self.flush();
        tell(problem, self.is_json(), self.is_quiet);
        problem.exit()
    }
}

/// What clap has to say: a mistake, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error, is_json: bool) -> Exit {
    let is_help = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
    if is_help {
        // `--help | head -1` ends quietly.
        let _ = error.print();
    } else {
        tell(&args::problem(error), is_json, false);
    }
    if is_help { Exit::DONE } else { Exit::USAGE }
}

fn tell(problem: &Problem, is_json: bool, is_quiet: bool) {
    if is_quiet || problem.code == Code::Own(OwnCode::ClosedPipe) {
        return;
    }
    if is_json {
        let object = serde_json::to_string(problem).expect("strings and numbers serialize");
        write_line(&object);
        return;
    }
    let acks = problem.acks.as_deref().map(acknowledged);
    let parts = [Some(problem.message.clone()), acks, problem.hint.clone().map(String::from)];
    say(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "));
}

/// Who has a write that not all have who should.
fn acknowledged(nodes: &[NodeName]) -> String {
    let nodes: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
    if nodes.is_empty() {
        return "nobody has acknowledged it".to_owned();
    }
    format!("acknowledged by {}", nodes.join(", "))
}

fn say(message: &str) {
    // Control characters of a key or a path must not break the line.
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    write_line(&format!("distdbctl: {line}"));
}

/// `eprintln!` would panic where stderr is closed.
fn write_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn unwritable(error: &io::Error) -> Problem {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Problem::new(OwnCode::ClosedPipe, "nobody reads the output");
    }
    Problem::new(OwnCode::Output, format!("the output can't be written: {error}"))
}
