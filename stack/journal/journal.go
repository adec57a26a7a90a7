// Package journal is an append-only file of JSON lines: the books of the test
// servers, which must survive kill -9 with nothing that was answered forgotten.
//
// [Journal.Append] returns when the line is on disk. A last line that was torn
// by a crash is dropped at the next [Open]: nobody was answered for it.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Journal is an open journal of entries of type E.
type Journal[E any] struct {
	mu   sync.Mutex
	file *os.File
	size int64 // of what is known to be on disk
	torn bool  // a failed append may have left more than that
}

// Open opens or makes the file and calls replay for every entry in it, in the
// order in which they were appended.
func Open[E any](path string, replay func(E)) (*Journal[E], error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	good, err := read(f, replay)
	if err == nil {
		err = f.Truncate(good)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return &Journal[E]{file: f, size: good}, nil
}

// read replays whole lines and returns where they end.
func read[E any](f *os.File, replay func(E)) (good int64, err error) {
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return good, nil // what is left is torn
		}
		if err != nil {
			return good, err
		}
		var e E
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return good, fmt.Errorf("at byte %d: %w", good, err)
		}
		replay(e)
		good += int64(len(line))
	}
}

// Append writes an entry and returns when it is on disk. An entry that could not
// be written leaves no trace.
func (j *Journal[E]) Append(e E) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	line = append(line, '\n')
	j.mu.Lock()
	defer j.mu.Unlock()
	// What an earlier failure left may be longer than this line.
	if j.torn {
		if err := j.file.Truncate(j.size); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		j.torn = false
	}
	if _, err = j.file.WriteAt(line, j.size); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		undone := j.file.Truncate(j.size)
		j.torn = undone != nil
		return errors.Join(fmt.Errorf("journal: %w", err), undone)
	}
	j.size += int64(len(line))
	return nil
}

// Close closes the file.
func (j *Journal[E]) Close() error { return j.file.Close() }
