package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
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

// Open returns a pool of at most maxConns connections to database dbName of the
// server at serverURL, created and migrated. Close it after use.
func Open(ctx context.Context, serverURL, dbName string, log *slog.Logger, maxConns int32, sources ...Migrations) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(serverURL)
	if err != nil {
		return nil, fmt.Errorf("POSTGRES_URL is not a Postgres URL: %w", err)
	}
	cfg.MaxConns = maxConns
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	cfg.ConnConfig.RuntimeParams["application_name"] = "cartwheel-" + dbName
	if err := awaitServer(ctx, cfg.ConnConfig, log); err != nil {
		return nil, err
	}
	if err := createDatabase(ctx, cfg.ConnConfig, dbName); err != nil {
		return nil, err
	}
	cfg.ConnConfig.Database = dbName
	cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTrimSQLInSpanName(), otelpgx.WithDisableQuerySpanNamePrefix())
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", dbName, err)
	}
	for _, src := range sources {
		if err := migrate(ctx, cfg.ConnConfig, src); err != nil {
			pool.Close()
			return nil, fmt.Errorf("migrate database %s, %s: %w", dbName, src.Name, err)
		}
	}
	return pool, nil
}

// awaitServer connects until it works. A refusal that waiting does not change,
// like a wrong password, is an error.
func awaitServer(ctx context.Context, cfg *pgx.ConnConfig, log *slog.Logger) error {
	waiting := false
	for {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !IsUnavailable(err) {
			return fmt.Errorf("connect to Postgres at %s: %w", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)), err)
		}
		if !waiting {
			log.InfoContext(ctx, "waiting for Postgres", "host", cfg.Host, "port", cfg.Port, "error", err)
			waiting = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// createDatabase makes the database when it is missing; another replica may do
// the same at this moment.
func createDatabase(ctx context.Context, cfg *pgx.ConnConfig, name string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the connection was good for one statement
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if exists {
		return nil
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == "42P04" || pgErr.Code == "23505") { // duplicate: by another replica
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func migrate(ctx context.Context, cfg *pgx.ConnConfig, src Migrations) error {
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
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
// succeed. The statement is not at fault.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch {
		case strings.HasPrefix(pgErr.Code, "08"), // connection exceptions
			strings.HasPrefix(pgErr.Code, "53"),                                 // insufficient resources
			strings.HasPrefix(pgErr.Code, "57P"),                                // shutdown, starting up
			pgErr.Code == "40001", pgErr.Code == "40P01", pgErr.Code == "55P03", // serialization, deadlock, lock timeout
			pgErr.Code == "25006": // read-only: a standby, for now
			return true
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "closed pool")
}
