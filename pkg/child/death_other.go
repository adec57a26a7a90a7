//go:build unix && !linux

package child

import "syscall"

// setDeathSignal does nothing: only Linux can tell a child of its parent's end.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
