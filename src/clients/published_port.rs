//! Clients come through ports that the engine's host publishes.
