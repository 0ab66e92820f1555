//! `spec/PROPERTIES.md` is true: each name in it is there, and each property that TLC checks is in
//! it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The shape of variables, which is a matter of types in the program; and what a context does not
/// promise.
const NOT_PROMISES: [&str; 2] = ["TypeOK", "NoUnreadReplaced"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cells of the rows: property, source, TLA+, checker, test.
fn rows() -> Result<Vec<[String; 5]>, Box<dyn Error>> {
    let table = fs::read_to_string(root().join("spec/PROPERTIES.md"))?;
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.contains("| TLA+ |"));
    let cells = |row: &str| {
        let inner = row.trim_start_matches('|').trim_end_matches('|');
        let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
        <[String; 5]>::try_from(cells).map_err(|cells| format!("{} cells: {row}", cells.len()))
    };
    Ok(rows.map(cells).collect::<Result<_, _>>()?)
}

fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|it| it == extension));
    Ok(files)
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn each_property_is_defined_in_a_specification() -> Result<(), Box<dyn Error>> {
    let mut all = String::new();
    for file in files("spec", "tla")? {
        all += &fs::read_to_string(file)?;
    }
    for [property, _, names, ..] in rows()? {
        for name in names.split(", ") {
            let defines = |line: &str| line.starts_with(&format!("{name} =="));
            assert!(all.lines().any(defines), "{property}: there is no {name}");
        }
    }
    Ok(())
}

#[test]
fn each_property_that_tlc_checks_is_promised() -> Result<(), Box<dyn Error>> {
    let promised: BTreeSet<String> =
        rows()?.iter().flat_map(|[_, _, names, ..]| names.split(", ").map(str::to_owned)).collect();
    let mut checked = 0;
    for file in [files("spec", "cfg")?, files("spec/mc", "cfg")?].concat() {
        // Those of traces check the same properties, some in forms that cost less.
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("Trace")) {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        let mut is_property = false;
        for word in text.split_whitespace() {
            if word.chars().all(|c| c.is_ascii_uppercase()) {
                is_property =
                    matches!(word, "INVARIANTS" | "PROPERTIES" | "INVARIANT" | "PROPERTY");
            } else if is_property && !word.starts_with("Never") && !NOT_PROMISES.contains(&word) {
                checked += 1;
                assert!(promised.contains(word), "{}: {word} is in no row", file.display());
            }
        }
    }
    assert!(checked > 100, "{checked} properties were found");
    Ok(())
}

#[test]
fn each_checker_and_each_test_is_there() -> Result<(), Box<dyn Error>> {
    for [property, _, _, checkers, tests] in rows()? {
        for checker in quoted(&checkers) {
            let file = root().join(format!("tests/src/check/{checker}.rs"));
            assert!(file.exists(), "{property}: there is no checker {checker}");
        }
        assert!(quoted(&tests).next().is_some(), "{property}: no test");
        for test in quoted(&tests) {
            let is_there = if let Some((file, name)) = test.split_once("::") {
                let text = fs::read_to_string(root().join(format!("tests/tests/{file}.rs")))?;
                text.contains(&format!("fn {name}("))
            } else {
                let (file, name) = test.split_once(": ").ok_or("FILE.bats: BEGINNING")?;
                let text = fs::read_to_string(root().join("tests/bats").join(file))?;
                text.contains(&format!("@test \"{name}"))
            };
            assert!(is_there, "{property}: there is no test {test}");
        }
    }
    Ok(())
}
