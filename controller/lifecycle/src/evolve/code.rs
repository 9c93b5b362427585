//! Events of the code of a sweep.

use crate::state::{AgentId, CodeAbout, CodeAct, CodeMark, CodeVersion, Sweep, Timestamp};
use crate::versions;

pub(super) fn see(
    sweep: &mut Sweep,
    version: &str,
    agent: Option<&AgentId>,
    about: &CodeAbout,
    since: Timestamp,
) {
    let versions = &mut sweep.code.versions;
    if let Some(known) = versions.iter_mut().find(|code| code.version == version) {
        known.about.clone_from(about);
        return;
    }
    versions.push(CodeVersion {
        version: version.to_owned(),
        about: about.clone(),
        agent: agent.cloned(),
        since,
        mark: None,
    });
    sweep.history += 1;
}

pub(super) fn pin(sweep: &mut Sweep, version: &str, since: Timestamp) {
    sweep.code.pinned = Some(version.to_owned());
    sweep.code.add_step(version, CodeAct::Pinned, since);
    sweep.history += 1;
}

pub(super) fn mark(sweep: &mut Sweep, version: &str, mark: Option<&CodeMark>, since: Timestamp) {
    let mut versions = sweep.code.versions.iter_mut();
    let Some(code) = versions.find(|code| code.version == version) else {
        return;
    };
    code.mark = mark.cloned();
    let act = mark.cloned().map_or(CodeAct::Unmarked, CodeAct::Marked);
    sweep.code.add_step(version, act, since);
    sweep.history += 1;
    sweep.index.best = versions::best(sweep, &sweep.code.versions);
}
