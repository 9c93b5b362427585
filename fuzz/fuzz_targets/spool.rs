//! Any bytes in the place of a spool. An even first byte: records whose checksums are right, whatever they say; the rest is as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let file = if kind % 2 == 0 {
        records(rest)
    } else {
        rest.to_vec()
    };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    sweep_agent::fuzzing::spool(folder.path(), &file).expect("the folder can be written");
});

/// Each record is as long as the byte before it says.
fn records(mut bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (content, others) = rest.split_at(usize::from(*length).min(rest.len()));
        file.extend((content.len() as u32).to_le_bytes());
        file.extend(crc32fast::hash(content).to_le_bytes());
        file.extend(content);
        bytes = others;
    }
    file
}
