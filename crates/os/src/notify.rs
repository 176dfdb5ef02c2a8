//! One inotify watch.
