//! The environment of an attempt, as one record that has a digest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use sweep_proto::v1;
use sweep_proto::v1::{DataSet, DataSource};

use super::data::DataKeeper;
use super::python::Pythons;
use super::{machine, variables};
use crate::gpu::GpuDriver;

/// Hexadecimal digits of a digest: enough that two never meet.
const DIGEST_DIGITS: usize = 32;

/// The environment of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedEnvironment {
    /// Facts about the machine and the interpreter, by name.
    pub facts: BTreeMap<String, String>,
    /// Installed packages, `name==version`, sorted.
    pub packages: Vec<String>,
    /// Variables, `NAME=value`; only `NAME` where the value may be private.
    pub variables: Vec<String>,
    /// The data sets that the sweep file declares.
    pub data: Vec<DataSet>,
}

impl CapturedEnvironment {
    /// Returns what names it: the same facts have the same digest.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        for (name, fact) in &self.facts {
            add(name);
            add(fact);
        }
        for list in [&self.packages, &self.variables] {
            add(&list.len().to_string());
            list.iter().for_each(|entry| add(entry));
        }
        for set in &self.data {
            [&set.name, &set.location, &set.digest, &set.basis, &set.note]
                .into_iter()
                .for_each(|text| add(text));
        }
        hex::encode(hash.finalize())[..DIGEST_DIGITS].to_owned()
    }
}

impl From<CapturedEnvironment> for v1::Environment {
    fn from(environment: CapturedEnvironment) -> Self {
        let digest = environment.digest();
        let CapturedEnvironment {
            facts,
            packages,
            variables,
            data,
        } = environment;
        Self {
            digest,
            facts: facts.into_iter().collect(),
            packages,
            variables,
            data,
        }
    }
}

/// Looks at what attempts are executed in. What takes long is done once.
#[derive(Debug)]
pub(crate) struct Surveyor {
    host: String,
    driver: Arc<dyn GpuDriver>,
    known: Mutex<KnownEnvironment>,
}

#[derive(Debug, Default)]
struct KnownEnvironment {
    machine: Option<BTreeMap<String, String>>,
    pythons: Pythons,
}

impl Surveyor {
    /// Makes one for a machine of this name.
    pub(crate) fn new(host: String, driver: Arc<dyn GpuDriver>) -> Self {
        Self {
            host,
            driver,
            known: Mutex::default(),
        }
    }

    /// Returns what a command is executed in. For a blocking thread: an interpreter that was not
    /// seen before is asked what it is.
    pub(crate) fn look(
        &self,
        command: &[String],
        workdir: &Path,
        data: Vec<DataSet>,
    ) -> CapturedEnvironment {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        let variable = |name: &str| std::env::var(name).ok();
        let machine = known
            .machine
            .get_or_insert_with(|| machine::facts(Path::new("/"), &variable, &*self.driver));
        let mut facts = machine.clone();
        facts.insert("host".to_owned(), self.host.clone());
        let mut packages = Vec::new();
        if let Some(python) = known.pythons.of(command, workdir) {
            packages = known.pythons.packages(&python);
            facts.extend([
                ("interpreter".to_owned(), python.executable),
                ("python".to_owned(), python.version),
            ]);
        }
        let all = std::env::vars_os().filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        });
        CapturedEnvironment {
            facts,
            packages,
            variables: variables::listed(all),
            data,
        }
    }
}

/// Returns what a command would be executed in here, and what declared data is here. Takes as long
/// as it takes to read that; for a blocking thread.
pub fn survey(
    driver: Arc<dyn GpuDriver>,
    command: &[String],
    workdir: &Path,
    sources: &[DataSource],
    cache: &Path,
) -> CapturedEnvironment {
    let host = nix::unistd::gethostname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let data = DataKeeper::new(workdir.to_owned(), cache).look(sources);
    Surveyor::new(host, driver).look(command, workdir, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_changes_with_each_part_and_not_with_the_borders_between_them() {
        let one = CapturedEnvironment {
            packages: vec!["a==1".to_owned()],
            ..CapturedEnvironment::default()
        };
        let other = CapturedEnvironment {
            variables: vec!["a==1".to_owned()],
            ..CapturedEnvironment::default()
        };
        assert_eq!(one.digest(), one.digest());
        assert_eq!(one.digest().len(), DIGEST_DIGITS);
        assert_ne!(one.digest(), other.digest());
        let split = |name: &str, fact: &str| CapturedEnvironment {
            facts: BTreeMap::from([(name.to_owned(), fact.to_owned())]),
            ..CapturedEnvironment::default()
        };
        assert_ne!(split("a", "bc").digest(), split("ab", "c").digest());
    }
}
