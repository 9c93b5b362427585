//! Recognises sweep files and what `sweep` itself writes: neither is code.

use crate::file_kind::extension_of;

/// A file in each folder that `sweep reproduce` has written: such a folder is no code of the folder around it.
pub const REPRODUCED: &str = ".sweep-reproduced";
/// A file in the data directory of each controller.
const CONTROLLER_DATA: &str = "sweep.db.id";
/// Files that say of a folder that all of it is written by `sweep`.
pub(crate) const FOLDER_MARKS: [&str; 2] = [REPRODUCED, CONTROLLER_DATA];

/// A longer file is not a sweep file.
pub(crate) const SWEEP_FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes that identify the kind of another file.
pub(crate) const BEGIN_BYTES: u64 = 64 << 10;
/// Methods of search, of which each sweep file names one.
const METHODS: [&str; 3] = ["grid", "random", "bayes"];

/// Returns whether a file may be a sweep file, by its name.
pub(crate) fn may_be_sweep_file(path: &[u8]) -> bool {
    matches!(extension_of(path).as_str(), "yaml" | "yml")
}

/// Returns whether a text is a sweep file: `parameters` and `method: grid | random | bayes` at its top level. It may hold mistakes, as a file does that
/// is just being edited.
pub(crate) fn is_sweep_file(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let quotes = |char: char| matches!(char, '"' | '\'');
    let pairs = text
        .lines()
        .filter(|line| !line.starts_with([' ', '\t', '#', '-']))
        .filter_map(|line| line.split_once(':'));
    let (mut has_parameters, mut has_method) = (false, false);
    for (key, value) in pairs {
        match key.trim().trim_matches(quotes) {
            "parameters" => has_parameters = true,
            "method" => {
                let value = value
                    .split(" #")
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .trim_matches(quotes);
                has_method |= METHODS.contains(&value);
            }
            _ => {}
        }
    }
    has_parameters && has_method
}

/// Returns whether `sweep` may have written a file, by its name.
pub(crate) fn may_be_written_by_sweep(path: &[u8]) -> bool {
    matches!(
        extension_of(path).as_str(),
        "html" | "htm" | "md" | "svg" | "png" | "xml" | "json"
    )
}

/// Returns whether `sweep` has written a file, by the signature at its beginning.
pub(crate) fn is_written_by_sweep(begin: &[u8]) -> bool {
    let holds = |signature: &str| {
        begin
            .windows(signature.len())
            .any(|window| window == signature.as_bytes())
    };
    let signatures = [
        "<meta name=\"generator\" content=\"sweep\">",
        "<!-- sweep-report",
        "<desc>Drawn by sweep</desc>",
        "Software\0sweep",
        "<testsuites name=\"sweep ",
        "\"generator\":\"sweep\"",
    ];
    signatures.into_iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_files_are_known_by_their_keys_also_while_they_are_edited() {
        for text in [
            "program: train.py\nmethod: bayes\nparameters:\n  lr: {min: 0, max: 1}\n",
            "\"method\": 'grid' # all\nparameters: {x: {values: [1]}}",
            "method: random\nparameters:\n  x: [[[\n",
        ] {
            assert!(is_sweep_file(text.as_bytes()), "{text}");
        }
        for text in [
            "method: adam\nparameters:\n  lr: 1\n",
            "method: bayes\n",
            "defaults:\n  parameters: 1\n  method: grid\n",
            "",
        ] {
            assert!(!is_sweep_file(text.as_bytes()), "{text}");
        }
        assert!(may_be_sweep_file(b"a/Sweep.YML") && !may_be_sweep_file(b"sweep.py"));
    }
}
