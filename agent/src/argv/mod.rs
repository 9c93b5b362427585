//! Configuration + command template → argv and environment. No shell has a part in it.

mod environment;
mod hydra;
mod machine;
mod python;

use serde_json::{Map, Value};

pub(crate) use self::environment::{
    AttemptPaths, Project, example, params_json, starts_ranks, variables, wandb_config,
};
pub(crate) use self::machine::Machine;

/// The inputs of a command line.
#[derive(Clone, Copy)]
pub(crate) struct Template<'a> {
    /// The items of `command:`, macros unexpanded.
    pub(crate) command: &'a [String],
    /// The value of `${program}`; empty where the file names none.
    pub(crate) program: &'a str,
    /// The configuration as the program sees it.
    pub(crate) params: &'a Map<String, Value>,
    /// Arguments for parameters without a value (null) are left out.
    pub(crate) omits_none: bool,
    /// The attempt's folders and numbers.
    pub(crate) place: &'a AttemptPaths,
}

/// A command ready to be executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Argv {
    /// argv.
    pub(crate) items: Vec<String>,
    /// The index in `items` of the script that an interpreter reads.
    pub(crate) script: Option<usize>,
    /// Warnings about the template for the user.
    pub(crate) warnings: Vec<String>,
}

/// Expands a template as W&B's agent does, with differences: `${interpreter}` is `python3` where
/// there is no `python`; an unknown macro is left out with a warning instead of silently; macros of
/// the attempt (`${run_dir}`) count inside an item too; `--set=${args_no_hyphens}` has its prefix
/// before each argument. `${args_dict}` counts as unknown: W&B expands it to bare names, which no
/// program can want.
pub(crate) fn build(template: Template<'_>, machine: &impl Machine) -> Argv {
    let mut argv = Argv::default();
    let mut after_interpreter = false;
    for item in template.command {
        let item = substitute(item, template.place, machine, &mut argv.warnings);
        let Some(name) = macro_name(&item) else {
            match item
                .strip_suffix(PREFIXED)
                .filter(|prefix| is_prefix(prefix))
            {
                // As gin, Helm and others want assignments: `--set=lr=0.1 --set=layers=2`.
                Some(prefix) => {
                    let each = expand("args_no_hyphens", template, machine).unwrap_or_default();
                    argv.items.extend(
                        each.into_iter()
                            .map(|assignment| format!("{prefix}{assignment}")),
                    );
                }
                None => argv.items.push(item),
            }
            after_interpreter = false;
            continue;
        };
        if name == "program" && after_interpreter {
            argv.script = Some(argv.items.len());
        }
        after_interpreter = name == "interpreter";
        match expand(name, template, machine) {
            Some(items) => argv.items.extend(items),
            None => argv.warnings.push(format!(
                "the command's macro `{item}` is unknown and left out, as W&B does it; known are ${{env}}, ${{interpreter}}, ${{program}}, \
                 ${{args}}, ${{args_no_hyphens}}, ${{args_no_equals}}, ${{args_no_boolean_flags}}, ${{args_flags}}, ${{args_spread}}, ${{args_hydra}}, \
                 ${{args_append_hydra}}, ${{args_override_hydra}}, ${{args_json}}, ${{args_json_file}}, ${{run_dir}}, ${{checkpoint_dir}}, ${{sweep_id}}, \
                 ${{run}}, ${{seed}} and ${{envvar:NAME}}"
            )),
        }
    }
    argv
}

/// The macro that may follow a prefix, which then precedes each of its arguments.
const PREFIXED: &str = "${args_no_hyphens}";

fn is_prefix(text: &str) -> bool {
    text.starts_with('-') && !text.contains(char::is_whitespace) && !text.contains("${")
}

/// Replaces `${envvar:NAME}` and the macros of the attempt, wherever they are in the item. A
/// variable that is not set becomes its own name, as in W&B, with a warning.
fn substitute(
    item: &str,
    place: &AttemptPaths,
    machine: &impl Machine,
    warnings: &mut Vec<String>,
) -> String {
    let mut out = String::new();
    let mut rest = item;
    while let Some(position) = rest.find("${") {
        let (before, tail) = rest.split_at(position);
        out.push_str(before);
        let inside = tail.find('}').map(|end| &tail[2..end]);
        let replaced =
            inside.and_then(|name| Some((name, value_of(name, place, machine, warnings)?)));
        let Some((name, value)) = replaced else {
            out.push_str("${");
            rest = &tail[2..];
            continue;
        };
        out.push_str(&value);
        rest = &tail[name.len() + 3..];
    }
    out.push_str(rest);
    out
}

/// Returns the text of a macro inside an item, `None` where it is none.
fn value_of(
    name: &str,
    place: &AttemptPaths,
    machine: &impl Machine,
    warnings: &mut Vec<String>,
) -> Option<String> {
    if let Some(variable) = name.strip_prefix("envvar:") {
        let is_name = variable
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        return is_name.then(|| {
            machine.variable(variable).unwrap_or_else(|| {
                warnings.push(format!(
                    "the command asks for the variable {variable}, which the agent does not have: its name is passed, as W&B does it"
                ));
                variable.to_owned()
            })
        });
    }
    Some(match name {
        "run_dir" => place.folder.clone(),
        "checkpoint_dir" => place.checkpoints.clone(),
        "sweep_id" => place.sweep.clone(),
        "run" => place.run.to_string(),
        "seed" => place.seed.to_string(),
        _ => return None,
    })
}

fn macro_name(item: &str) -> Option<&str> {
    item.strip_prefix("${")?.strip_suffix('}')
}

/// Returns a value without the nulls in its maps, however deep.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let left = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                left.map(|(name, value)| (name.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// Returns the expansion of a macro, `None` for an unknown one.
fn expand(name: &str, template: Template<'_>, machine: &impl Machine) -> Option<Vec<String>> {
    let given: Map<String, Value> = template
        .params
        .iter()
        .filter(|(_, value)| !(template.omits_none && value.is_null()))
        .map(|(name, value)| {
            (
                name.clone(),
                if template.omits_none {
                    without_nulls(value)
                } else {
                    value.clone()
                },
            )
        })
        .collect();
    let each = |write: fn(&str, &Value) -> Vec<String>| {
        given
            .iter()
            .flat_map(|(name, value)| write(name, value))
            .collect()
    };
    Some(match name {
        "env" => vec!["/usr/bin/env".to_owned()],
        "interpreter" => vec![interpreter(machine).to_owned()],
        "program" if template.program.is_empty() => Vec::new(),
        "program" => vec![template.program.to_owned()],
        "args" => each(|name, value| vec![format!("--{name}={}", python::str(value))]),
        "args_no_hyphens" => each(|name, value| vec![format!("{name}={}", python::str(value))]),
        "args_no_equals" => each(|name, value| vec![format!("--{name}"), python::str(value)]),
        "args_append_hydra" => each(|name, value| vec![format!("+{name}={}", python::str(value))]),
        "args_override_hydra" => {
            each(|name, value| vec![format!("++{name}={}", python::str(value))])
        }
        "args_no_boolean_flags" => each(|name, value| match value {
            Value::Bool(true) => vec![format!("--{name}")],
            Value::Bool(false) => Vec::new(),
            other => vec![format!("--{name}={}", python::str(other))],
        }),
        "args_flags" => each(|name, value| match value {
            Value::Bool(true) => vec![format!("--{name}")],
            Value::Bool(false) => vec![format!("--no-{name}")],
            other => vec![format!("--{name}={}", python::str(other))],
        }),
        "args_spread" => each(|name, value| {
            let values = match value {
                Value::Array(items) => items.iter().map(python::str).collect(),
                other => vec![python::str(other)],
            };
            [vec![format!("--{name}")], values].concat()
        }),
        "args_hydra" => hydra::overrides(&given),
        "args_json" => vec![params_json(template.params)],
        "args_json_file" => vec![template.place.params_file.clone()],
        _ => return None,
    })
}

fn interpreter(machine: &impl Machine) -> &'static str {
    if !machine.has_program("python") && machine.has_program("python3") {
        "python3"
    } else {
        "python"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Box {
        programs: &'static [&'static str],
    }

    impl Machine for Box {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "HOME" || name == "A_1").then(|| format!("/{name}"))
        }

        fn has_program(&self, name: &str) -> bool {
            self.programs.contains(&name)
        }
    }

    fn expanded(command: &[&str], params: Value) -> Vec<String> {
        build_on(
            &Box {
                programs: &["python", "python3"],
            },
            command,
            params,
        )
        .items
    }

    fn build_on(machine: &Box, command: &[&str], params: Value) -> Argv {
        let Value::Object(params) = params else {
            panic!("params are an object")
        };
        let command: Vec<String> = command.iter().map(|item| (*item).to_owned()).collect();
        let place = example("/runs");
        build(
            Template {
                command: &command,
                program: "train.py",
                params: &params,
                omits_none: false,
                place: &place,
            },
            machine,
        )
    }

    #[test]
    fn a_prefix_stands_before_each_assignment() {
        let params = json!({"train.lr": 0.5, "train.n": 2});
        assert_eq!(
            expanded(&["--gin=${args_no_hyphens}"], params.clone()),
            ["--gin=train.lr=0.5", "--gin=train.n=2"]
        );
        assert_eq!(
            expanded(&["a ${args_no_hyphens}"], params),
            ["a ${args_no_hyphens}"],
            "a script"
        );
    }

    #[test]
    fn every_macro_expands_as_in_wandb() {
        let params = || json!({"a": true, "b": false, "c": 1, "d": null});
        let cases: [(&str, &[&str]); 14] = [
            ("${env}", &["/usr/bin/env"]),
            ("${interpreter}", &["python"]),
            ("${program}", &["train.py"]),
            ("${args}", &["--a=True", "--b=False", "--c=1", "--d=None"]),
            ("${args_no_boolean_flags}", &["--a", "--c=1", "--d=None"]),
            (
                "${args_no_hyphens}",
                &["a=True", "b=False", "c=1", "d=None"],
            ),
            (
                "${args_no_equals}",
                &["--a", "True", "--b", "False", "--c", "1", "--d", "None"],
            ),
            (
                "${args_append_hydra}",
                &["+a=True", "+b=False", "+c=1", "+d=None"],
            ),
            (
                "${args_override_hydra}",
                &["++a=True", "++b=False", "++c=1", "++d=None"],
            ),
            ("${args_flags}", &["--a", "--no-b", "--c=1", "--d=None"]),
            (
                "${args_spread}",
                &["--a", "True", "--b", "False", "--c", "1", "--d", "None"],
            ),
            ("${args_hydra}", &["a=true", "b=false", "c=1", "d=null"]),
            (
                "${args_json}",
                &[r#"{"a": true, "b": false, "c": 1, "d": null}"#],
            ),
            ("${args_json_file}", &["/runs/params.json"]),
        ];
        for (item, expected) in cases {
            assert_eq!(expanded(&[item], params()), expected, "{item}");
        }
    }

    #[test]
    fn an_item_is_a_macro_only_as_a_whole() {
        assert_eq!(
            expanded(
                &[
                    "--cfg=${args_json_file}",
                    "${args",
                    "$args}",
                    "a b;rm -rf /"
                ],
                json!({"x": 1})
            ),
            [
                "--cfg=${args_json_file}",
                "${args",
                "$args}",
                "a b;rm -rf /"
            ]
        );
    }

    #[test]
    fn macros_of_the_attempt_count_inside_an_item_too() {
        assert_eq!(
            expanded(
                &[
                    "--out=${run_dir}/x",
                    "${checkpoint_dir}",
                    "${sweep_id}-${run}-${seed}",
                    "${run_dir"
                ],
                json!({})
            ),
            [
                "--out=/runs/x",
                "/runs/checkpoint",
                "abcd1234-7-3",
                "${run_dir"
            ]
        );
        assert_eq!(
            expanded(&["${args_spread}"], json!({"layers": [500, 500]})),
            ["--layers", "500", "500"]
        );
    }

    #[test]
    fn parameters_without_a_value_can_be_left_out() {
        let params = json!({"a": null, "b": 1, "o": {"x": 2, "inner": {"z": null, "y": 3}}});
        let Value::Object(params) = params else {
            panic!("params are an object")
        };
        let (command, place) = (["${args_hydra}".to_owned()], example("/runs"));
        let template = Template {
            command: &command,
            program: "",
            params: &params,
            omits_none: true,
            place: &place,
        };
        assert_eq!(
            build(template, &Box { programs: &[] }).items,
            ["b=1", "o.x=2", "o.inner.y=3"]
        );
    }

    #[test]
    fn variables_are_replaced_anywhere_and_become_their_name_when_unset() {
        let command = [
            "${envvar:HOME}/x/${envvar:A_1}",
            "${envvar:NO_SUCH}",
            "${envvar:lower}",
            "${envvar:HOME",
            "x${envvar:lower}${envvar:HOME}",
        ];
        assert_eq!(
            expanded(&command, json!({})),
            [
                "/HOME/x//A_1",
                "NO_SUCH",
                "${envvar:HOME",
                "x${envvar:lower}/HOME"
            ]
        );
        let argv = build_on(&Box { programs: &[] }, &["${envvar:NO_SUCH}"], json!({}));
        assert!(
            argv.warnings[0].contains("the variable NO_SUCH"),
            "{:?}",
            argv.warnings
        );
    }

    #[test]
    fn values_arrive_as_single_arguments_whatever_is_in_them() {
        let params =
            json!({"lr": 1e-5, "note": "two words; $(x)", "opt": {"lr": 0.1, "names": ["a'b"]}});
        assert_eq!(
            expanded(&["${args}"], params),
            [
                "--lr=1e-05",
                "--note=two words; $(x)",
                r#"--opt={'lr': 0.1, 'names': ["a'b"]}"#
            ]
        );
    }

    #[test]
    fn an_unknown_macro_is_left_out_with_a_warning() {
        let argv = build_on(
            &Box {
                programs: &["python"],
            },
            &["run", "${arg}", "${args_dict}"],
            json!({"a": 1}),
        );
        assert_eq!(argv.items, ["run"]);
        assert_eq!(argv.warnings.len(), 2);
        assert!(
            argv.warnings[0].starts_with("the command's macro `${arg}` is unknown"),
            "{}",
            argv.warnings[0]
        );
    }

    #[test]
    fn python3_stands_in_where_there_is_no_python() {
        let of = |programs| {
            build_on(
                &Box { programs },
                &["${env}", "${interpreter}", "${program}"],
                json!({}),
            )
        };
        assert_eq!(of(&["python3"]).items[1], "python3");
        assert_eq!(of(&["python", "python3"]).items[1], "python");
        assert_eq!(of(&[]).items[1], "python");
        assert_eq!(of(&[]).script, Some(2));
        assert_eq!(
            build_on(
                &Box { programs: &[] },
                &["python", "-m", "${program}"],
                json!({})
            )
            .script,
            None
        );
    }
}
