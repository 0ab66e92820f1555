//! A cell of a line: bytes with those escaped that would end the cell or the line.
//!
//! `\t`, `\n`, `\r` and `\\` stand for themselves escaped, `\xNN` for a byte that is not part of
//! UTF-8. Everything else is as it is. Each text has one meaning, so no two values look alike.

/// Appends `bytes` to `line` as a cell.
pub(crate) fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'\t' => line.extend(br"\t"),
                b'\n' => line.extend(br"\n"),
                b'\r' => line.extend(br"\r"),
                b'\\' => line.extend(br"\\"),
                _ => line.push(byte),
            }
        }
        for byte in chunk.invalid() {
            line.extend(format!("\\x{byte:02x}").bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut line = Vec::new();
        escape(bytes, &mut line);
        String::from_utf8(line).expect("what is not UTF-8 is escaped")
    }

    /// What a script would do; here, because nothing else needs it.
    fn unescaped(cell: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = cell.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            if *first != b'\\' {
                bytes.push(*first);
                continue;
            }
            let (byte, taken) = match rest {
                [b't', ..] => (b'\t', 1),
                [b'n', ..] => (b'\n', 1),
                [b'r', ..] => (b'\r', 1),
                [b'\\', ..] => (b'\\', 1),
                [b'x', high, low, ..] => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    (u8::from_str_radix(digits, 16).unwrap(), 3)
                }
                other => panic!("{other:?} is no escape"),
            };
            bytes.push(byte);
            rest = &rest[taken..];
        }
        bytes
    }

    #[test]
    fn only_what_breaks_a_cell_is_escaped() {
        assert_eq!(escaped("a ключ 🔑 \u{1b}".as_bytes()), "a ключ 🔑 \u{1b}");
        assert_eq!(escaped(b"a\tb\nc\rd\\e"), r"a\tb\nc\rd\\e");
        assert_eq!(escaped(b"\xff\xc3(\xe2\x82"), r"\xff\xc3(\xe2\x82");
    }

    proptest! {
        /// C6: a value with newlines and tabs is told apart from several values.
        #[test]
        fn escaping_is_reversible_and_leaves_one_cell(bytes: Vec<u8>) {
            let cell = escaped(&bytes);
            prop_assert!(!cell.contains(['\t', '\n', '\r']));
            prop_assert_eq!(unescaped(&cell), bytes);
        }

        #[test]
        fn texts_full_of_escapes_are_reversible_too(text in "[\\\\xtnr\t\n\rf0]{0,40}") {
            prop_assert_eq!(unescaped(&escaped(text.as_bytes())), text.into_bytes());
        }
    }
}
