//! Processes: limits, signals, workers that inherit sockets.
