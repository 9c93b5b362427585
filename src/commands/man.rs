//! `sweep man`: manual pages, written from the same texts as `--help`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_mangen::Man;

use crate::display::out;
use crate::failure::CommandError;

/// Prints the manual page of a command, or writes all pages into a folder
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep man run | man -l -
  sweep man --output ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// The command; without it, `sweep` itself
    #[arg(value_name = "COMMAND")]
    names: Vec<String>,
    /// Writes the pages of all commands into this folder, which is created
    #[arg(long, value_name = "FOLDER", conflicts_with = "names")]
    output: Option<PathBuf>,
}

/// The longest first line of a block that is its title.
const TITLE_LENGTH_MAX: usize = 40;

/// Prints or writes the pages; `whole` is the command line that they describe.
pub(crate) fn run(args: &ManArgs, whole: Command) -> Result<ExitCode> {
    // Every page would list `help`, which has no page.
    let mut whole = whole.disable_help_subcommand(true);
    whole.build();
    if let Some(folder) = &args.output {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        write_pages(&whole, folder)?;
    } else {
        out().write_all(&page(command(&whole, &args.names)?)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the command that the names lead to.
fn command<'a>(whole: &'a Command, names: &[String]) -> Result<&'a Command, CommandError> {
    let mut found = whole;
    for name in names {
        found = found.find_subcommand(name).ok_or_else(|| {
            CommandError::input(format!("sweep has no command `{}`", names.join(" ")))
                .hint("`sweep help` lists the commands")
        })?;
    }
    Ok(found)
}

/// Writes the page of a command and those of its subcommands.
fn write_pages(command: &Command, folder: &Path) -> Result<()> {
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_pages(subcommand, folder)?;
    }
    let file = folder.join(Man::new(command.clone()).get_filename());
    fs::write(&file, page(command)?).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the page of a command in roff.
fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    // The crate would fill the lines of examples into one paragraph.
    Man::new(command.clone().after_help(None)).render(&mut page)?;
    if let Some(text) = command.get_after_help() {
        page.extend_from_slice(sections(&text.to_string()).as_bytes());
    }
    Ok(page)
}

/// Returns the text after the options as sections whose lines stay as they are. A block that begins with `Title:` has that title.
fn sections(text: &str) -> String {
    let mut roff = String::new();
    for block in text.split("\n\n") {
        let (title, lines) = match block.split_once(":\n") {
            Some((first, rest)) if first.len() <= TITLE_LENGTH_MAX && !first.contains('\n') => {
                (first, rest)
            }
            _ => ("Notes", block),
        };
        let _ = writeln!(roff, ".SH {}\n.nf", escaped(&title.to_uppercase()));
        for line in lines.lines() {
            let _ = writeln!(roff, "{}", escaped(line));
        }
        roff.push_str(".fi\n");
    }
    roff
}

/// Returns a line that roff prints as it is, with quotes and signs that a shell accepts when they are copied.
fn escaped(line: &str) -> String {
    let mut roff = String::new();
    if line.starts_with('.') {
        roff.push_str("\\&");
    }
    for sign in line.chars() {
        match sign {
            '\\' => roff.push_str("\\e"),
            '-' => roff.push_str("\\-"),
            '\'' => roff.push_str("\\(aq"),
            '`' => roff.push_str("\\(ga"),
            '~' => roff.push_str("\\(ti"),
            '^' => roff.push_str("\\(ha"),
            other => roff.push(other),
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_sections() {
        let roff = sections("Exit status: 0 or 2.\n\nExamples:\n  sweep x --a '~'\n.y \\n");
        assert_eq!(
            roff,
            ".SH NOTES\n.nf\nExit status: 0 or 2.\n.fi\n\
             .SH EXAMPLES\n.nf\n  sweep x \\-\\-a \\(aq\\(ti\\(aq\n\\&.y \\en\n.fi\n"
        );
    }
}
