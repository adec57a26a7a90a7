package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

// runAs is the user that the server runs as: nil for ourselves.
func runAs() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	const overflow = 65534 // what the kernel calls nobody
	cred := &syscall.Credential{Uid: overflow, Gid: overflow}
	if u, err := user.Lookup("nobody"); err == nil {
		if uid, err := strconv.ParseUint(u.Uid, 10, 32); err == nil && uid != 0 {
			cred.Uid = uint32(uid)
		}
		if gid, err := strconv.ParseUint(u.Gid, 10, 32); err == nil && gid != 0 {
			cred.Gid = uint32(gid)
		}
	}
	return cred
}

// reachable returns dir when the server's user can get there. When it cannot,
// as below root's home, it returns the first of the system's places that it
// can, with our name below.
func reachable(dir string, cred *syscall.Credential) (string, error) {
	if cred == nil || traversable(dir) {
		return dir, nil
	}
	var failed []error
	for _, base := range []string{"/var/lib", os.TempDir()} {
		place := filepath.Join(base, "cartwheel")
		if err := os.MkdirAll(place, 0o755); err != nil {
			failed = append(failed, err)
			continue
		}
		info, err := os.Stat(place)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		// Anybody may make a directory in a temporary place and wait for us.
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 {
			failed = append(failed, fmt.Errorf("%s belongs to another user", place))
			continue
		}
		if err := os.Chmod(place, 0o755); err != nil { // our umask may have narrowed it
			failed = append(failed, err)
			continue
		}
		if traversable(place) {
			return place, nil
		}
		failed = append(failed, fmt.Errorf("%s cannot be reached by other users", place))
	}
	return "", fmt.Errorf("postgres does not run as root, and no directory can be reached by an unprivileged user: %w", errors.Join(failed...))
}

// traversable reports whether every existing directory on the way to dir lets
// all users pass.
func traversable(dir string) bool {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}

// place decides where the files of dir really are. That is dir itself, or, when
// the server's user cannot get there, a directory that the file "elsewhere" in
// dir names. It also removes what deleted directories left behind elsewhere.
func place(dir string, cred *syscall.Credential) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the Postgres directory: %w", err)
	}
	switch home, err := recorded(dir); {
	case err != nil:
		return "", err
	case home != dir:
		if _, err := os.Stat(home); err != nil {
			return "", fmt.Errorf("the Postgres data of %s is gone: %w (delete %[1]s to start afresh)", dir, err)
		}
		return home, nil
	}
	// Not made anew elsewhere when it is here already: the way may have been
	// closed since.
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		return dir, nil
	}
	base, err := reachable(dir, cred)
	if err != nil {
		return "", err
	}
	if base == dir {
		return dir, nil
	}
	if err := sweep(base); err != nil {
		return "", err
	}
	record := filepath.Join(dir, elsewhere)
	home := filepath.Join(base, "postgres-"+strings.ToLower(rand.Text()[:12]))
	if err := os.Mkdir(home, 0o755); err != nil {
		return "", fmt.Errorf("create the Postgres directory: %w", err)
	}
	// In this order: a home that names its owner is named by it.
	if err := os.WriteFile(record, []byte(home+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("record where the Postgres data is: %w", err)
	}
	if err := os.WriteFile(filepath.Join(home, "owner"), []byte(record+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("record the owner of %s: %w", home, err)
	}
	return home, nil
}

const elsewhere = "elsewhere"

// recorded is the directory that the files of dir are in: dir, unless it says
// otherwise.
func recorded(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, elsewhere))
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", fmt.Errorf("read where the Postgres data is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// sweep removes directories whose owner no longer names them.
func sweep(base string) error {
	homes, err := filepath.Glob(filepath.Join(base, "postgres-*"))
	if err != nil {
		return err
	}
	for _, home := range homes {
		owner, err := os.ReadFile(filepath.Join(home, "owner"))
		if err != nil {
			continue // just being made by another process
		}
		named, err := os.ReadFile(strings.TrimSpace(string(owner)))
		if err == nil && strings.TrimSpace(string(named)) == home || err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if pid, _ := readPidFile(filepath.Join(home, "data")); child.Alive(pid, home) {
			continue
		}
		if err := os.RemoveAll(home); err != nil {
			return fmt.Errorf("remove the forgotten %s: %w", home, err)
		}
	}
	return nil
}
