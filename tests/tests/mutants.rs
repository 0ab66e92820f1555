//! The planted bugs of `make mutants` fit the code as it is: it takes too long to be run each time, and
//! one that fits no more would only be seen then.

use std::error::Error;
use std::fs;
use std::path::Path;

#[test]
fn each_mutant_fits_the_code_once() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    for entry in fs::read_dir(root.join("tests/mutants"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let (head, change) = text.split_once("\n---\n").ok_or("a head, and a change")?;
        let (before, _) = change.split_once("\n===\n").ok_or("before and after")?;
        let file = head.lines().find_map(|line| line.strip_prefix("file: "));
        let code = fs::read_to_string(root.join(file.ok_or("a file")?))?;
        assert_eq!(code.matches(before).count(), 1, "{}", path.display());
        count += 1;
    }
    assert!(count > 40, "{count} mutants were found");
    Ok(())
}
