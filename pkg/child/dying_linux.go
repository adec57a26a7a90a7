package child

import (
	"os"
	"strconv"
	"strings"
)

// dying reports whether a process has lost its memory, and with it its command
// line, but not yet its files and ports. The kernel takes its time between the
// two, and a program that is started again at once falls into the gap.
func dying(pid int) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	b, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return false
	}
	// "pid (name) state ppid pgrp session tty tpgid flags …", and the name may
	// hold anything.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const state, flags = 0, 6
	if len(fields) <= flags {
		return false
	}
	if fields[state] == "Z" || fields[state] == "X" {
		// The first thread waits for the others, which share its files.
		threads, err := os.ReadDir(proc + "/task")
		return err == nil && len(threads) > 1
	}
	const exiting = 0x4 // PF_EXITING
	f, err := strconv.ParseUint(fields[flags], 10, 64)
	return err == nil && f&exiting != 0
}
