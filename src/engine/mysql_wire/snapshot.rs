//! A view of the data that stays as it is.
