package inbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// Message is a mail with its content.
type Message struct {
	Summary
	Headers map[string][]string `json:"headers"`
	Text    string              `json:"text"`
	HTML    string              `json:"html"`
}

// maxDepth bounds how deep parts lie in parts.
const maxDepth = 10

// parse reads a mail's readable parts. What it cannot decode it leaves out: the
// raw mail is there for those who want to know.
func parse(summary Summary, raw []byte) (Message, error) {
	m := Message{Summary: summary}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m, fmt.Errorf("read the mail: %w", err)
	}
	m.Headers = msg.Header
	m.readPart(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body, 0)
	return m, nil
}

func (m *Message) readPart(contentType, encoding string, body io.Reader, depth int) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = "text/plain"
	}
	switch strings.ToLower(encoding) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	switch {
	case strings.HasPrefix(kind, "multipart/") && depth < maxDepth:
		parts := multipart.NewReader(body, params["boundary"])
		for {
			// Raw, because the encoding is undone above.
			part, err := parts.NextRawPart()
			if err != nil {
				return
			}
			if part.FileName() == "" {
				m.readPart(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, depth+1)
			}
		}
	case kind == "text/plain" && m.Text == "":
		m.Text = readText(body)
	case kind == "text/html" && m.HTML == "":
		m.HTML = readText(body)
	}
}

// readText reads UTF-8, which is what everybody writes today.
func readText(r io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(r, maxMail))
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
