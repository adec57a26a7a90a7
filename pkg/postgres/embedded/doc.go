// Package embedded runs a real Postgres server without an installation: it
// fetches the binaries once, keeps them in a cache directory and runs bin/postgres
// as a direct child of this process.
//
// Guarantees:
//
//   - The data survives a restart and kill -9 of everything, with fsync as in
//     production; only a [Config.Throwaway] server gives that up, for tests.
//   - No data directory is ever wiped: one of another major version, or one that
//     is not recognisable, is refused with a sentence that says what to do.
//   - The server ends with this process, see package child; a server that an
//     earlier process left on the same directory is stopped first.
//   - It listens on 127.0.0.1 alone. [User] is a superuser and [Password] is no
//     secret: whoever may open a loopback connection may do everything.
//   - Root is fine: Postgres refuses to run as root, so it runs as nobody then,
//     and its files go where nobody may reach them, see [Config.Dir].
//
// The caller sees to it that only one process at a time uses a directory.
package embedded

// User and Password are demonstration credentials, the same everywhere.
const (
	User     = "cartwheel"
	Password = "cartwheel-demo"
)
