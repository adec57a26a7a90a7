package postgres

import (
	"context"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrations is a source of goose migrations.
type Migrations struct {
	Name string // its version table is goose_<Name>
	FS   fs.FS  // with the *.sql files at its root
}

// Embedded returns the migrations in the directory "migrations" of a package's
// embedded files. That it is there is decided at compile time, so its absence
// panics.
func Embedded(name string, files embed.FS) Migrations {
	dir, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err)
	}
	return Migrations{Name: name, FS: dir}
}

// Open returns a pool of at most maxConns connections to database dbName of the
// server at serverURL, created and migrated. Close it after use. serverURL names
// a database that exists, and a role that may create others.
//
// It waits for a server that is away for as long as ctx lives. What waiting does
// not change, like a wrong password or a broken migration, is an error.
func Open(ctx context.Context, serverURL, dbName string, log *slog.Logger, maxConns int32, sources ...Migrations) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(serverURL)
	if err != nil {
		return nil, fmt.Errorf("POSTGRES_URL is not a Postgres URL: %w", err)
	}
	cfg.MaxConns = maxConns
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = connectWithin
	cfg.ConnConfig.RuntimeParams["application_name"] = "cartwheel-" + dbName
	if err := untilAvailable(ctx, log, cfg.ConnConfig, func() error { return prepare(ctx, cfg.ConnConfig, dbName, sources) }); err != nil {
		return nil, err
	}
	cfg.ConnConfig.Database = dbName
	cfg.ConnConfig.Tracer = otelpgx.NewTracer()
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", dbName, err)
	}
	return pool, nil
}

const (
	connectWithin = 5 * time.Second
	waitMin       = 100 * time.Millisecond
	waitMax       = 2 * time.Second
	// sayEvery is how often it is said again what is waited for.
	sayEvery = 30 * time.Second
)

// untilAvailable tries again while the server is away.
func untilAvailable(ctx context.Context, log *slog.Logger, cfg *pgx.ConnConfig, try func() error) error {
	var said time.Time
	for pause := waitMin; ; pause = min(2*pause, waitMax) {
		err := try()
		switch {
		case err == nil:
			if !said.IsZero() {
				log.InfoContext(ctx, "Postgres is there")
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !IsUnavailable(err):
			return err
		}
		if time.Since(said) > sayEvery {
			log.InfoContext(ctx, "waiting for Postgres", "server", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)), "error", err)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func prepare(ctx context.Context, server *pgx.ConnConfig, dbName string, sources []Migrations) error {
	if err := createDatabase(ctx, server, dbName); err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && class(pgErr.Code) == "28" {
			return fmt.Errorf("the server refuses the role or the password of POSTGRES_URL (what that leaves out is in PGUSER and PGPASSWORD): %w", err)
		}
		return fmt.Errorf("create database %s on %s: %w", dbName, net.JoinHostPort(server.Host, fmt.Sprint(server.Port)), err)
	}
	database := server.Copy()
	database.Database = dbName
	for _, src := range sources {
		if err := migrate(ctx, database, src); err != nil {
			return fmt.Errorf("migrate database %s, %s: %w", dbName, src.Name, err)
		}
	}
	return nil
}

// createDatabase makes the database when it is missing; another replica may do
// the same at this moment.
func createDatabase(ctx context.Context, cfg *pgx.ConnConfig, name string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == "42P04" || pgErr.Code == "23505") { // duplicate: by another replica
		return nil
	}
	return err
}

func migrate(ctx context.Context, cfg *pgx.ConnConfig, src Migrations) error {
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	// Replicas that start together take turns, and try each second.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, src.FS,
		goose.WithTableName("goose_"+src.Name), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// IsUnavailable says that err is the server being away, starting, stopping or
// full, or the transaction being a victim of concurrency: the same again may
// succeed. The statement is not at fault. A context that ended says nothing
// about the server and is not it.
func IsUnavailable(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "40001", "40P01", "55P03", // serialization failure, deadlock, lock timeout
			"55006", // a template that is just being copied
			"25006": // read-only: a standby, for now
			return true
		case "57P04": // the database was dropped
			return false
		}
		return slices.Contains([]string{
			"08",  // connection exceptions
			"53",  // insufficient resources: connections, disk, memory
			"57P", // shutting down, starting up
			"58",  // the server's system: input and output
		}, class(pgErr.Code))
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || err != nil && (strings.HasSuffix(err.Error(), "conn closed") || strings.HasSuffix(err.Error(), "closed pool")) // pgx exports no errors for these
}

// class is an error code's class, and of class 57, which has cancellations by
// the user too, the group that is about the server.
func class(code string) string {
	if strings.HasPrefix(code, "57P") {
		return "57P"
	}
	return code[:min(2, len(code))]
}
