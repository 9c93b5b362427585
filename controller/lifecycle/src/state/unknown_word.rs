//! Words of newer versions of the program.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word that a newer version of the program writes and this one does not know. It is kept, so that people see it. Text beyond 32 bytes is cut, and
/// control characters become `_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownWord {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl UnknownWord {
    /// The length of the longest word, in bytes.
    pub const BYTES_MAX: usize = 32;

    /// Takes the word.
    pub fn new(text: &str) -> Self {
        let mut word = Self {
            bytes: [0; Self::BYTES_MAX],
            length: 0,
        };
        for character in text.chars().map(|character| {
            if character.is_control() {
                '_'
            } else {
                character
            }
        }) {
            let (start, end) = (
                usize::from(word.length),
                usize::from(word.length) + character.len_utf8(),
            );
            let Some(place) = word.bytes.get_mut(start..end) else {
                break;
            };
            character.encode_utf8(place);
            word.length = u8::try_from(end).unwrap_or(word.length);
        }
        word
    }

    /// Returns the word.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)])
            .expect("whole characters were written")
    }
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Serialize for UnknownWord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UnknownWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Blame, Failure, FailureKind};

    #[test]
    fn a_failure_with_words_of_a_newer_version_is_read_and_written_as_it_was() {
        let json = r#"{"kind":"melted","blame":"provider","message":"","exit_code":null,"signal":null,"output_tail":"","evidence":""}"#;
        let failure: Failure = serde_json::from_str(json).unwrap();
        assert_eq!(
            (failure.kind, failure.blame),
            (
                FailureKind::Other(UnknownWord::new("melted")),
                Blame::Other(UnknownWord::new("provider"))
            )
        );
        assert_eq!(serde_json::to_string(&failure).unwrap(), json);
        let bytes = rmp_serde::to_vec(&failure).unwrap();
        assert_eq!(rmp_serde::from_slice::<Failure>(&bytes).unwrap(), failure);
        assert!(!failure.may_be_the_agents());
        assert_eq!(
            failure.kind.to_string(),
            "it failed with `melted`, a kind of failure of a newer version"
        );
    }

    #[test]
    fn known_words_are_read_as_known() {
        assert_eq!(
            serde_json::from_str::<FailureKind>("\"cuda_out_of_memory\"").unwrap(),
            FailureKind::CudaOutOfMemory
        );
        assert_eq!(
            serde_json::from_str::<Blame>("\"machine\"").unwrap(),
            Blame::Machine
        );
        let failure = Failure::new(FailureKind::Nccl, Blame::Configuration, "");
        assert_eq!(
            rmp_serde::from_slice::<Failure>(&rmp_serde::to_vec(&failure).unwrap()).unwrap(),
            failure
        );
    }

    #[test]
    fn a_word_is_cut_between_characters_and_has_no_control_characters() {
        assert_eq!(UnknownWord::new(&"x".repeat(33)).as_str(), "x".repeat(32));
        assert_eq!(
            UnknownWord::new(&format!("{}é", "x".repeat(31))).as_str(),
            "x".repeat(31)
        );
        assert_eq!(UnknownWord::new("a\nb\u{1b}").as_str(), "a_b_");
        assert_eq!(UnknownWord::new("").as_str(), "");
    }
}
