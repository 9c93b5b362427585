//! The versions of a sweep's code, for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use sweep_proto::v1::{
    Agent, Agreement, Code, CodeChanges, CodeVersion, ListCodeResponse, Run, Sweep,
};

use super::{ago, counted, number, printable, table};

/// Characters of a hash that are shown.
const HASH_CHARACTERS: usize = 8;

/// All versions, the results of their runs, and the agents that have them.
pub(crate) fn code(
    sweep: &Sweep,
    answer: &ListCodeResponse,
    agents: &[Agent],
    agreements: &[Agreement],
) -> String {
    let mut text = String::new();
    if answer.versions.is_empty() {
        let _ = match answer.unknown {
            0 => writeln!(text, "No run of {} has begun yet.", sweep.id),
            runs => writeln!(
                text,
                "no code version is known for the {} of {}",
                counted(runs, "run"),
                sweep.id
            ),
        };
        return text;
    }
    let _ = writeln!(text, "{}", listed(&answer.versions));
    if answer.unknown > 0 {
        let _ = writeln!(
            text,
            "\nOf {} no version is known.",
            counted(answer.unknown, "run")
        );
    }
    if !agreements.is_empty() {
        let _ = writeln!(text, "\nEvidence from older code:");
        agreements.iter().for_each(|one| {
            let _ = writeln!(text, "  {}", agreement(sweep, one));
        });
    }
    let _ = write!(text, "{}", said(&answer.versions));
    let used: Vec<_> = answer
        .versions
        .iter()
        .filter(|version| !version.agents.is_empty())
        .collect();
    if used.len() > 1 {
        let _ = writeln!(
            text,
            "\nAgents work with {} versions at the same time:",
            used.len()
        );
        for version in used {
            let hosts: Vec<_> = version.agents.iter().map(|id| host(id, agents)).collect();
            let _ = writeln!(text, "  {}: {}", version.number, hosts.join(", "));
        }
    }
    text + &notes(&answer.versions) + &outputs(&answer.versions)
}

/// Versions of the code, one a line.
fn listed(versions: &[CodeVersion]) -> String {
    let mut table = table::table(&[
        "#", "version", "seen", "first on", "runs", "failed", "best", "changes", "from",
    ]);
    for version in versions {
        let (seen, host) = seen(version);
        let about = version.code.clone().unwrap_or_default();
        table.add_row([
            version.number.to_string(),
            short(&about.version),
            seen,
            host,
            version.runs.to_string(),
            version.failed.to_string(),
            best(version),
            changes(version),
            origin(&about),
        ]);
    }
    table::right(&mut table, &[0, 4, 5]);
    table::fitted(&table)
}

/// Outputs of programs that are part of no version.
fn outputs(versions: &[CodeVersion]) -> String {
    let named = versions
        .iter()
        .filter_map(|version| version.code.as_ref())
        .flat_map(|code| &code.outputs);
    let names: BTreeSet<_> = named.map(|output| printable(output)).collect();
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<_> = names.into_iter().collect();
    format!(
        "\nOutputs of programs, part of no version: {}\n`git add`, a line `!PATH` in .sweepignore or `code: {{include: [PATH]}}` in the sweep file makes one \
         code.\n",
        names.join(", ")
    )
}

/// The notes of captured versions, each note once.
fn notes(versions: &[CodeVersion]) -> String {
    let mut said: Vec<(&str, Vec<u32>)> = Vec::new();
    for (number, code) in versions
        .iter()
        .filter_map(|version| Some((version.number, version.code.as_ref()?)))
    {
        for note in &code.notes {
            match said.iter_mut().find(|(known, _)| known == note) {
                Some((_, numbers)) => numbers.push(number),
                None => said.push((note, vec![number])),
            }
        }
    }
    let mut text = String::new();
    for (index, (note, numbers)) in said.iter().enumerate() {
        let of = match numbers[..] {
            [number] => format!("Version {number}"),
            [first, .., last] if last - first + 1 == numbers.len() as u32 && numbers.len() > 2 => {
                format!("Versions {first} to {last}")
            }
            _ => format!(
                "Versions {}",
                numbers
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        let _ = writeln!(
            text,
            "{}{of}: {}",
            if index == 0 { "\n" } else { "" },
            printable(note)
        );
    }
    text
}

/// The marks of versions, and the pinned one.
fn said(versions: &[CodeVersion]) -> String {
    let mut text = String::new();
    for version in versions {
        let number = version.number;
        if version.pinned {
            let _ = writeln!(
                text,
                "\nThe sweep is pinned to version {number}: every run that begins executes it."
            );
        }
        if version.unusable {
            let _ = writeln!(
                text,
                "\nVersion {number} is marked as unusable: the search does not learn from its runs, and none is the best."
            );
        }
        if version.same_as > 0 {
            let _ = writeln!(
                text,
                "\nVersion {number} is marked as the same as version {}: the search takes both for one.",
                version.same_as
            );
        }
    }
    text
}

/// How a version differs from the one before.
fn changes(version: &CodeVersion) -> String {
    version.changes.map(stat).unwrap_or_default()
}

/// How much was changed.
pub(crate) fn stat(changes: CodeChanges) -> String {
    let CodeChanges {
        files,
        lines_added,
        lines_removed,
    } = changes;
    format!("{} +{lines_added} -{lines_removed}", counted(files, "file"))
}

fn host(id: &str, agents: &[Agent]) -> String {
    let host = agents
        .iter()
        .find(|agent| agent.id == id)
        .map_or(id, |agent| agent.host.as_str());
    printable(host)
}

/// How far an older version agrees with the newest, in words.
pub(crate) fn agreement(sweep: &Sweep, agreement: &Agreement) -> String {
    let Agreement {
        newest,
        older,
        correlation,
        deviation,
        shift,
    } = *agreement;
    let verb = match correlation {
        0.7.. => "agrees with",
        0.3.. => "agrees in part with",
        -0.3.. => "has little in common with",
        _ => "turns round what held for",
    };
    let metric = printable(&sweep.metric);
    let way = if shift < 0.0 { "lower" } else { "higher" };
    format!(
        "version {newest} {verb} version {older}: correlation {correlation:.2} ± {deviation:.2}, {metric} {} {way}",
        number(shift.abs())
    )
}

/// A version in as many characters as distinguish it from others.
pub(crate) fn short(hash: &str) -> String {
    // An id that is no hash is shown as it is.
    let is_hash = hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    printable(if is_hash {
        &hash[..HASH_CHARACTERS]
    } else {
        hash
    })
}

/// Returns the uncommitted part: unchanged for a program, without control characters for a terminal.
pub(crate) fn patch(text: &str) -> String {
    if !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    text.split_inclusive('\n')
        .map(|line| line.split_inclusive('\t').map(tamed).collect::<String>())
        .collect()
}

/// The whitespace at the end of a piece stays.
fn tamed(piece: &str) -> String {
    let words = piece.trim_end_matches(['\n', '\t']);
    format!("{}{}", printable(words), &piece[words.len()..])
}

/// Which code an attempt had, and how to see what of it was not committed.
pub(super) fn of_attempt(sweep: &str, version: &str, versions: &[CodeVersion]) -> String {
    let known = versions.iter().find(|known| {
        known.has_patch
            && known
                .code
                .as_ref()
                .is_some_and(|code| code.version == version)
    });
    let Some((number, code)) = known.and_then(|known| Some((known.number, known.code.as_ref()?)))
    else {
        return format!("  code: version {}\n", short(version));
    };
    let (files, added, removed) = (
        counted(code.files, "file"),
        code.lines_added,
        code.lines_removed,
    );
    format!(
        "  code: version {}, {files} uncommitted (+{added} -{removed}): `sweep code {sweep} --diff {number}`\n",
        short(version)
    )
}

/// Where a version comes from: branch, commit, what is uncommitted.
pub(crate) fn origin(code: &Code) -> String {
    if code.commit.is_empty() {
        return String::new();
    }
    let place = if code.branch.is_empty() {
        String::new()
    } else {
        format!("{} at ", printable(&code.branch))
    };
    let subject = if code.subject.is_empty() {
        String::new()
    } else {
        format!(" \"{}\"", printable(&code.subject))
    };
    let changes = match code.files {
        0 => String::new(),
        files => format!(
            ", {} uncommitted (+{} -{})",
            counted(files, "file"),
            code.lines_added,
            code.lines_removed
        ),
    };
    format!("{place}{}{subject}{changes}", short(&code.commit))
}

/// The best run of a version.
fn best(version: &CodeVersion) -> String {
    match (version.best_run, version.best_value) {
        (Some(run), Some(value)) => format!("{} (run {run})", number(value)),
        _ => String::new(),
    }
}

/// Says which run is the best of the newest code that has results, where the best run of all is of older code.
pub(super) fn newer_best(sweep: &Sweep, versions: &[CodeVersion], best_run: &Run) -> String {
    let is_of = |version: &&CodeVersion| {
        version
            .code
            .as_ref()
            .is_some_and(|code| code.version == best_run.code_version)
    };
    let Some(older) = versions.iter().find(is_of) else {
        return String::new();
    };
    let newer = versions
        .iter()
        .rfind(|version| version.best_run.is_some() && !version.unusable);
    let Some(newer) =
        newer.filter(|newer| newer.number > older.number && newer.same_as != older.number)
    else {
        return String::new();
    };
    let (old, new) = (older.number, newer.number);
    format!(
        "  of code version {old}; the best of version {new}: {} = {}\n",
        printable(&sweep.metric),
        best(newer)
    )
}

/// The first agent with a version, and the time.
fn seen(version: &CodeVersion) -> (String, String) {
    let host = match version.host.as_str() {
        // The code of imported runs is unknown.
        "" if version.kept => "pushed".to_owned(),
        "" => "imported".to_owned(),
        host => printable(host),
    };
    (ago(version.since_ms), host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_the_newest_code_is_named_beside_an_older_run() {
        let version = |number: u32, best_run| {
            let code = Code {
                version: format!("v{number}"),
                ..Code::default()
            };
            CodeVersion {
                number,
                code: Some(code),
                best_run,
                best_value: best_run.map(|_| 0.25),
                ..CodeVersion::default()
            }
        };
        let sweep = Sweep {
            metric: "loss".to_owned(),
            ..Sweep::default()
        };
        let said = |versions: &[CodeVersion]| {
            newer_best(
                &sweep,
                versions,
                &Run {
                    code_version: "v1".to_owned(),
                    ..Run::default()
                },
            )
        };
        let (one, two, three) = (version(1, Some(1)), version(2, Some(7)), version(3, None));
        let whole = [one.clone(), two.clone(), three.clone()];
        assert_eq!(
            said(&whole),
            "  of code version 1; the best of version 2: loss = 0.25 (run 7)\n"
        );
        assert_eq!(said(&[one.clone(), three]), "");
        assert_eq!(said(&[one, CodeVersion { same_as: 1, ..two }]), "");
    }

    #[test]
    fn what_is_true_of_several_versions_is_said_once() {
        let version = |number, notes: &[&str]| {
            let code = Code {
                notes: notes.iter().map(|note| (*note).to_owned()).collect(),
                ..Code::default()
            };
            CodeVersion {
                number,
                code: Some(code),
                ..CodeVersion::default()
            }
        };
        assert_eq!(notes(&[version(1, &[])]), "");
        let versions = [
            version(1, &["a"]),
            version(2, &["a", "b"]),
            version(3, &["a"]),
            version(5, &["b"]),
        ];
        assert_eq!(notes(&versions), "\nVersions 1 to 3: a\nVersions 2, 5: b\n");
        assert_eq!(
            notes(&[version(4, &["c\u{1b}"])]),
            "\nVersion 4: c\\u{1b}\n"
        );
    }
}
