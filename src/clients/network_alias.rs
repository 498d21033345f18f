//! Clients on a network of the engine's find the server by V1's aliases and name.
