//! Copying what a server holds to another one, by statements.
