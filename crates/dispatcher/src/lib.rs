//! Listeners, event loop, worker threads, worker processes, drain and reload.
