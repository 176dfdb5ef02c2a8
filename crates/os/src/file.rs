//! Syncing and allocating files.
