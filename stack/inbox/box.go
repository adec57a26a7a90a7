package inbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limit is how many mails are kept.
const Limit = 10_000

var (
	// ErrNotFound says that there is no such mail.
	ErrNotFound = errors.New("no such mail")
	// ErrNoMail says that what came is no mail: it has no readable header.
	ErrNoMail = errors.New("not a mail")
)

// Summary is what a list shows of a mail.
type Summary struct {
	ID         string    `json:"id"`         // sorts by time of arrival
	MessageID  string    `json:"message_id"` // without angle brackets
	From       string    `json:"from"`       // of the envelope, as To
	To         []string  `json:"to"`
	Subject    string    `json:"subject"`
	ReceivedAt time.Time `json:"received_at"`
	Size       int       `json:"size"`
}

// Box keeps mails as files in a directory and an index of them in memory.
type Box struct {
	dir   string
	limit int
	log   *slog.Logger
	now   func() time.Time

	mu    sync.RWMutex
	mails []Summary // oldest first
	last  int64     // the newest id
}

// Open reads the mails in dir, which it makes when missing.
func Open(dir string, log *slog.Logger) (*Box, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the inbox directory: %w", err)
	}
	b := &Box{dir: dir, limit: Limit, log: log, now: time.Now}
	entries, err := os.ReadDir(dir) // by name, so by time
	if err != nil {
		return nil, fmt.Errorf("read the inbox directory: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") { // never acknowledged
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("remove a half-written mail: %w", err)
			}
		}
		id, isMail := strings.CutSuffix(e.Name(), ".eml")
		if !isMail {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read a mail: %w", err)
		}
		m, err := summarize(id, raw)
		if err != nil {
			log.Warn("skipping a file that is no mail", "file", e.Name(), "error", err)
			continue
		}
		b.add(m)
	}
	return b, nil
}

// The envelope, which a mail itself does not carry, is stored in front of it in
// header fields of our own. A mail may bring the same fields: the first counts.
const (
	envelopeFrom = "X-Inbox-From"
	envelopeTo   = "X-Inbox-To"
	arrival      = "X-Inbox-Received-At"
)

// Put stores a mail and returns when it can no longer get lost.
func (b *Box) Put(from string, to []string, raw []byte) (Summary, error) {
	now := b.now().UTC()
	file := stored(from, to, now, raw)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last+1, now.UnixMicro())
	id := strconv.FormatInt(b.last, 10)
	m, err := summarize(id, file)
	if err != nil {
		return Summary{}, fmt.Errorf("%w: %w", ErrNoMail, err)
	}
	path := b.path(id)
	if err := os.WriteFile(path+".tmp", file, 0o644); err != nil {
		return Summary{}, fmt.Errorf("store the mail: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return Summary{}, fmt.Errorf("store the mail: %w", err)
	}
	b.add(m)
	return m, nil
}

// stored is the content of a mail's file.
func stored(from string, to []string, at time.Time, raw []byte) []byte {
	var file bytes.Buffer
	fmt.Fprintf(&file, "%s: <%s>\r\n", envelopeFrom, from)
	fmt.Fprintf(&file, "%s: %s\r\n", envelopeTo, strings.Join(to, " "))
	fmt.Fprintf(&file, "%s: %s\r\n", arrival, at.Format(time.RFC3339Nano))
	file.Write(raw)
	return file.Bytes()
}

// Filter chooses mails; a zero field chooses all.
type Filter struct {
	MessageID string
	To        string
	Before    string // an id
	Limit     int
}

// List returns the chosen mails, newest first.
func (b *Box) List(f Filter) []Summary {
	b.mu.RLock()
	defer b.mu.RUnlock()
	id := trimAngles(f.MessageID)
	items := []Summary{}
	for _, m := range slices.Backward(b.mails) {
		if f.Before != "" && m.ID >= f.Before ||
			id != "" && m.MessageID != id ||
			f.To != "" && !slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, f.To) }) {
			continue
		}
		if items = append(items, m); len(items) == f.Limit {
			break
		}
	}
	return items
}

// Get returns a mail's summary and the mail as it was received.
func (b *Box) Get(id string) (Summary, []byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	i, found := slices.BinarySearchFunc(b.mails, id, func(m Summary, id string) int { return strings.Compare(m.ID, id) })
	if !found {
		return Summary{}, nil, fmt.Errorf("mail %q: %w", id, ErrNotFound)
	}
	file, err := os.ReadFile(b.path(id))
	if err != nil {
		return Summary{}, nil, fmt.Errorf("read the mail: %w", err)
	}
	return b.mails[i], file[len(file)-b.mails[i].Size:], nil
}

func (b *Box) add(m Summary) {
	b.mails = append(b.mails, m)
	if n, err := strconv.ParseInt(m.ID, 10, 64); err == nil {
		b.last = max(b.last, n)
	}
	for len(b.mails) > b.limit {
		if err := os.Remove(b.path(b.mails[0].ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.log.Warn("cannot remove an old mail", "error", err)
		}
		b.mails = b.mails[1:]
	}
}

func (b *Box) path(id string) string { return filepath.Join(b.dir, id+".eml") }

// summarize reads a stored file.
func summarize(id string, file []byte) (Summary, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(file))
	if err != nil {
		return Summary{}, err
	}
	received, err := time.Parse(time.RFC3339Nano, msg.Header.Get(arrival))
	if err != nil {
		return Summary{}, fmt.Errorf("%s: %w", arrival, err)
	}
	m := Summary{
		ID:         id,
		To:         strings.Fields(msg.Header.Get(envelopeTo)),
		MessageID:  trimAngles(msg.Header.Get("Message-Id")),
		From:       trimAngles(msg.Header.Get(envelopeFrom)),
		Subject:    decodeWords(msg.Header.Get("Subject")),
		ReceivedAt: received,
	}
	m.Size = len(file)
	if _, mail, ok := bytes.Cut(file, []byte(arrival+": "+msg.Header.Get(arrival)+"\r\n")); ok {
		m.Size = len(mail)
	}
	return m, nil
}

func trimAngles(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
}

// decodeWords reads a header that is not plain ASCII.
func decodeWords(s string) string {
	if decoded, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}
