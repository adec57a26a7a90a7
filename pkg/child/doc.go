// Package child runs programs that live no longer than this one: the database
// and the saga engine of the embedded stack.
//
// Guarantees:
//
//   - On Linux the kernel signals the child when this process ends, however it
//     ends; kill -9 included. Elsewhere a killed parent leaves the child running,
//     and the next start ends it with [StopLeftover].
//   - The child is in a process group of its own: Ctrl-C in a terminal reaches
//     only this process, which then stops its children in its own order.
//   - [Process.Stop] returns when the child has ended; it kills the whole group
//     when the context ends first.
//
// It works on Unix only.
package child
