//! Keys, values, and the watches on them: what all three labs have in common; and the state that
//! Lab 3 replicates: [`command`]s, the [`store`] they change, and the [`session`]s of clients.

pub(crate) mod bytes_shared;
pub mod command;
pub mod condition;
pub mod history;
pub mod key;
pub mod lease;
pub mod lock;
pub mod once;
pub mod outcome;
pub mod page;
pub mod session;
pub mod state;
pub mod store;
pub mod value;
pub mod watch;
