// Package filelock locks files between processes.
//
// Guarantees: at most one holder per file on one machine; the kernel frees the
// lock when its holder ends, kill -9 included, so a lock is never stale. It
// works on Unix, on local file systems.
package filelock
