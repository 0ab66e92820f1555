//! Keys: one line of text each, so that a key is one cell of a table and one line of a list.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

/// The name of a value: UTF-8, 1 to 1,024 bytes, no control characters. Ordered by its bytes.
///
/// Invariant: just that. A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Key(Arc<str>);

/// A text that is no key, or no prefix of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key has at least one byte.
    #[error("key is empty; it takes 1 to 1,024 bytes")]
    Empty,
    /// Past [`KEY_BYTES_MAX`].
    #[error("key has {0} bytes; it takes 1 to 1,024")]
    TooLong(usize),
    /// A tab or a newline, say: it would break a line of `list` in two.
    #[error("key has the control character {0:?}")]
    Control(char),
}

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for Key {
    type Error = KeyError;

    fn try_from(text: Arc<str>) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        check_prefix(&text)?;
        Ok(Self(text))
    }
}

impl TryFrom<&str> for Key {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        Self::try_from(Arc::<str>::from(text))
    }
}

/// Whether `text` could begin a key; the empty prefix begins every one.
///
/// # Errors
///
/// [`KeyError`], which says what is wrong with it.
pub fn check_prefix(text: &str) -> Result<(), KeyError> {
    if text.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong(text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(control) => Err(KeyError::Control(control)),
        None => Ok(()),
    }
}

impl From<Key> for Arc<str> {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_line_of_text() {
        for good in ["a", "-", "--help", "ключ", "鍵", "a b", "🔑", &"k".repeat(KEY_BYTES_MAX)]
        {
            assert!(Key::try_from(good).is_ok(), "{good:?}");
        }
        assert_eq!(Key::try_from(""), Err(KeyError::Empty));
        assert_eq!(Key::try_from("a\tb"), Err(KeyError::Control('\t')));
        assert_eq!(Key::try_from("a\u{85}"), Err(KeyError::Control('\u{85}')));
        assert_eq!(Key::try_from("k".repeat(1_025).as_str()), Err(KeyError::TooLong(1_025)));
    }
}
