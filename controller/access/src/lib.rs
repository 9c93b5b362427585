//! The files by which programs of one user find a controller on their machine and get in: the card of the controller and its token.
//!
//! The controller writes them, and the command line and agents read them without the rest of the controller. Modules import
//! rightwards only: `card, token`.

mod card;
mod token;

pub use crate::card::{CARD_FILE, Card, LOCK_FILE, card};
pub use crate::token::{TOKEN_FILE, Token, TokenError};
