//! Converts environments of runs.

use std::collections::HashMap;

use sweep_lifecycle::state::{DataSet, Environment};
use sweep_proto::v1;
use tonic::Status;

use super::super::limits;
use super::super::refusal::invalid;

/// Converts an agent's environment and checks it against the limits. Cuts long texts.
pub(in crate::service) fn environment(
    environment: Option<v1::Environment>,
) -> Result<Environment, Status> {
    let v1::Environment {
        digest,
        facts,
        packages,
        variables,
        data,
    } = environment.ok_or_else(|| invalid("environment is missing"))?;
    limits::name("environment.digest", &digest)?;
    let texts = facts.iter().flat_map(|(name, fact)| [name.as_str(), fact]);
    let texts = texts.chain(packages.iter().chain(&variables).map(String::as_str));
    limits::environment(
        texts.chain(
            data.iter()
                .flat_map(|set| [set.name.as_str(), &set.location, &set.note]),
        ),
    )?;
    let lines = |texts: Vec<String>| texts.iter().map(|text| limits::line(text)).collect();
    let data = data.into_iter().map(data_set).collect::<Result<_, _>>()?;
    let facts = facts
        .iter()
        .map(|(name, fact)| (limits::line(name), limits::line(fact)))
        .collect();
    Ok(Environment {
        digest,
        facts,
        packages: lines(packages),
        variables: lines(variables),
        data,
    })
}

fn data_set(set: v1::DataSet) -> Result<DataSet, Status> {
    limits::optional_name("data.digest", &set.digest)?;
    limits::optional_name("data.basis", &set.basis)?;
    limits::stored("data.files", set.files)?;
    limits::stored("data.bytes", set.bytes)?;
    Ok(DataSet {
        name: limits::line(&set.name),
        location: limits::line(&set.location),
        note: limits::line(&set.note),
        digest: set.digest,
        basis: set.basis,
        files: set.files,
        bytes: set.bytes,
    })
}

/// The same as the wire has it.
pub(in crate::service) fn wire_environment(environment: Environment) -> v1::Environment {
    let Environment {
        digest,
        facts,
        packages,
        variables,
        data,
    } = environment;
    let data = data.into_iter().map(|set| v1::DataSet {
        name: set.name,
        location: set.location,
        digest: set.digest,
        basis: set.basis,
        files: set.files,
        bytes: set.bytes,
        note: set.note,
    });
    v1::Environment {
        digest,
        facts: facts.into_iter().collect::<HashMap<_, _>>(),
        packages,
        variables,
        data: data.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_says_is_bounded_and_one_line() {
        let hostile = v1::Environment {
            digest: "d".to_owned(),
            facts: HashMap::from([("host".to_owned(), "a\u{1b}[2Jb".to_owned())]),
            packages: vec!["x".repeat(5000)],
            ..v1::Environment::default()
        };
        let taken = environment(Some(hostile.clone())).unwrap();
        assert_eq!(taken.facts["host"], "a [2Jb");
        assert_eq!(taken.packages[0].len(), 1024);
        assert_eq!(
            environment(Some(wire_environment(taken.clone()))).unwrap(),
            taken
        );
        for too_much in [vec!["x".to_owned(); 20_001], vec!["x".repeat(1000); 2000]] {
            assert!(
                environment(Some(v1::Environment {
                    packages: too_much,
                    ..hostile.clone()
                }))
                .is_err()
            );
        }
        assert!(
            environment(Some(v1::Environment {
                digest: String::new(),
                ..hostile
            }))
            .is_err()
        );
        assert!(environment(None).is_err());
    }
}
