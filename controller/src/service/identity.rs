//! The controller's identity in the headers of every response.

use axum::http::{HeaderMap, HeaderValue};
use sweep_lifecycle::state::ControllerIdentity;
use sweep_proto::{CONTROLLER_HEADER, EPOCH_HEADER};

/// Writes the controller's identity into the headers of a response. Without an identity nothing is written.
pub fn stamp(headers: &mut HeaderMap, identity: &ControllerIdentity) {
    // An id is of hexadecimal digits, unless somebody has changed the log.
    let Ok(controller) = HeaderValue::from_str(&identity.controller) else {
        return;
    };
    if !controller.is_empty() {
        headers.insert(CONTROLLER_HEADER, controller);
        headers.insert(EPOCH_HEADER, HeaderValue::from(identity.epoch));
    }
}
