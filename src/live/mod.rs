//! Wake-ups: what one replica commits, the others hear of.

mod listener;

pub use listener::Listener;
