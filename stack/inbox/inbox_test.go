package inbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cartwheel-shop/cartwheel/stack/inbox"
)

func open(t *testing.T, dir string) *inbox.Box {
	t.Helper()
	box, err := inbox.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// serve returns the addresses of a box's mail server and pages.
func serve(t *testing.T, box *inbox.Box) (smtpAddr, url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := inbox.NewSMTP(box, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	web := httptest.NewServer(inbox.NewHandler(box))
	t.Cleanup(func() {
		web.Close()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-done
	})
	return l.Addr().String(), web.URL
}

// A start that fails stops the server before its goroutine has begun to serve.
func TestAServerThatWasStoppedDoesNotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := inbox.NewSMTP(open(t, t.TempDir()), slog.New(slog.DiscardHandler))
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l); err != nil {
		t.Errorf("serve: %v", err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("its port still answers", conn.Close())
	}
}

func get(t *testing.T, url string, wantStatus int) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != wantStatus {
		t.Fatalf("%s: status %d, want %d: %s", url, resp.StatusCode, wantStatus, body)
	}
	return string(body)
}

type list struct {
	Items  []inbox.Summary `json:"items"`
	Cursor string          `json:"cursor"`
}

func getList(t *testing.T, url string) (l list) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, url, http.StatusOK)), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

const both = "From: Shop <shop@example.com>\r\n" +
	"To: Ada <ada@example.com>\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"Message-ID: <order-1.confirmed@example.com>\r\n" +
	"X-Inbox-To: <forged@example.com>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n" +
	"\r\n" +
	"--b\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n5 =E2=82=AC, please\r\n" +
	"--b\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+NSDigqw8L3A+PHNjcmlwdD5ldmlsKCk8L3NjcmlwdD4=\r\n" +
	"--b--\r\n"

func TestAMailArrives(t *testing.T) {
	addr, url := serve(t, open(t, t.TempDir()))
	if err := smtp.SendMail(addr, nil, "bounce@example.com", []string{"ada@example.com", "bob@example.com"}, []byte(both)); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?message_id=<order-1.confirmed@example.com>", "?message_id=order-1.confirmed@example.com", "?to=BOB@example.com"} {
		items := getList(t, url+"/api/messages"+query).Items
		if len(items) != 1 {
			t.Fatalf("%s: %d mails", query, len(items))
		}
		m := items[0]
		if m.Subject != "Grüße" || m.From != "bounce@example.com" || fmt.Sprint(m.To) != "[ada@example.com bob@example.com]" || m.MessageID != "order-1.confirmed@example.com" || m.Size != len(both) {
			t.Errorf("%s: got %+v", query, m)
		}
	}
	if got := getList(t, url+"/api/messages?message_id=another@example.com").Items; got == nil || len(got) != 0 {
		t.Errorf("an unknown Message-ID: got %v, want an empty list", got)
	}
	id := getList(t, url+"/api/messages").Items[0].ID
	var m inbox.Message
	if err := json.Unmarshal([]byte(get(t, url+"/api/messages/"+id, http.StatusOK)), &m); err != nil {
		t.Fatal(err)
	}
	if m.Text != "5 €, please" || !strings.HasPrefix(m.HTML, "<p>5 €</p>") || m.Headers["From"][0] != "Shop <shop@example.com>" {
		t.Errorf("got %+v", m)
	}
	if got := get(t, url+"/api/messages/"+id+"/raw", http.StatusOK); got != both {
		t.Errorf("the raw mail is not what was sent:\n%q", got)
	}
	page := get(t, url+"/messages/"+id, http.StatusOK)
	if !strings.Contains(page, "Grüße") || strings.Contains(page, "evil") {
		t.Errorf("the page shows the mail's HTML itself:\n%s", page)
	}
	if page := get(t, url+"/", http.StatusOK); !strings.Contains(page, `href="/messages/`+id) || !strings.Contains(page, "width=device-width") {
		t.Errorf("the list:\n%s", page)
	}
	if page := get(t, url+"/?message_id=order-1.confirmed@example.com", http.StatusOK); !strings.Contains(page, "<dt>To</dt>") {
		t.Errorf("a Message-ID does not lead to its mail:\n%s", page)
	}
	get(t, url+"/messages/1", http.StatusNotFound)
	get(t, url+"/api/messages/..%2f..%2fetc", http.StatusNotFound)
	get(t, url+"/api/messages?limit=many", http.StatusBadRequest)
}

func TestTheMailsHTMLIsInASandbox(t *testing.T) {
	box := open(t, t.TempDir())
	_, url := serve(t, box)
	m, err := box.Put("a@example.com", []string{"b@example.com"}, []byte(both))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(url + "/messages/" + m.ID + "/html")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox") || strings.Contains(policy, "allow-scripts") || !strings.Contains(policy, "default-src 'none'") {
		t.Fatalf("policy %q", policy)
	}
}

func TestMailsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	box := open(t, dir)
	for i := range 3 {
		if _, err := box.Put("a@example.com", []string{"b@example.com"}, mail(i)); err != nil {
			t.Fatal(err)
		}
	}
	// What a kill in the middle leaves, and what somebody else put there.
	for name, content := range map[string]string{"9.eml.tmp": "half", "8.eml": "no mail at all", "notes.txt": "mine"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := box.List(inbox.Filter{})
	again := open(t, dir)
	after := again.List(inbox.Filter{})
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Fatalf("got %v, want %v", after, before)
	}
	m, err := again.Put("a@example.com", []string{"b@example.com"}, mail(3))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID <= before[0].ID {
		t.Fatalf("a new mail sorts before an old one: %s, %s", m.ID, before[0].ID)
	}
}

func TestPages(t *testing.T) {
	box := open(t, t.TempDir())
	_, url := serve(t, box)
	const n = 7
	for i := range n {
		if _, err := box.Put("a@example.com", []string{"b@example.com"}, mail(i)); err != nil {
			t.Fatal(err)
		}
	}
	var subjects []string
	for next := url + "/api/messages?limit=3"; next != ""; {
		page := getList(t, next)
		for _, m := range page.Items {
			subjects = append(subjects, m.Subject)
		}
		next = ""
		if page.Cursor != "" {
			next = url + "/api/messages?limit=3&cursor=" + page.Cursor
		}
	}
	if got, want := fmt.Sprint(subjects), "[mail 6 mail 5 mail 4 mail 3 mail 2 mail 1 mail 0]"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestSendersAtTheSameTime(t *testing.T) {
	box := open(t, t.TempDir())
	addr, _ := serve(t, box)
	const senders, each = 8, 10
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				if err := smtp.SendMail(addr, nil, "a@example.com", []string{"b@example.com"}, mail(s*each+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, m := range box.List(inbox.Filter{}) {
		ids[m.MessageID] = true
	}
	if len(ids) != senders*each {
		t.Fatalf("%d mails, want %d", len(ids), senders*each)
	}
}

func TestWhatIsNoMailIsRefusedForGood(t *testing.T) {
	addr, _ := serve(t, open(t, t.TempDir()))
	err := smtp.SendMail(addr, nil, "a@example.com", []string{"b@example.com"}, []byte("no colon in the header\r\n\r\nbody"))
	if err == nil || !strings.HasPrefix(err.Error(), "554 ") {
		t.Fatalf("got %v", err)
	}
}

func mail(i int) []byte {
	return fmt.Appendf(nil, "Subject: mail %d\r\nMessage-ID: <%d@example.com>\r\n\r\nHello.\r\n", i, i)
}
