package child

import "syscall"

// Apart calls fn while no child is being forked. A socket that fn opens and closes
// is closed for good then; otherwise a child that was forked in between has a copy
// until it runs its own program, and the port stays taken for that long.
func Apart(fn func()) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fn()
}
