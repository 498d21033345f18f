//! Docker. The only folder that names bollard.
