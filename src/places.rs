//! Where things live on this machine, after the XDG base directory specification.

use std::path::PathBuf;

use anyhow::Result;

use crate::failure::CommandError;

/// The port of a controller on this machine.
pub(crate) const LOCAL: &str = "127.0.0.1:7433";

/// Returns the data directory of this user's controller: `$XDG_DATA_HOME/sweep`.
pub(crate) fn data_dir() -> Result<PathBuf> {
    Ok(base("XDG_DATA_HOME", ".local/share")?.join("sweep"))
}

/// Returns where agents keep run folders and `sweep run` its data: `$XDG_STATE_HOME/sweep`.
pub(crate) fn state_dir() -> Result<PathBuf> {
    Ok(base("XDG_STATE_HOME", ".local/state")?.join("sweep"))
}

/// Returns this program, also when its file has been replaced since it was started.
pub(crate) fn own_program() -> Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        Ok(link)
    } else {
        Ok(std::env::current_exe()?)
    }
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    // The specification says to ignore a relative path.
    if let Some(path) = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        return Ok(path);
    }
    match std::env::home_dir() {
        Some(home) => Ok(home.join(below_home)),
        None => Err(
            CommandError::new("there is no home directory to keep data in")
                .hint(format!("set ${variable} to an absolute path"))
                .into(),
        ),
    }
}
