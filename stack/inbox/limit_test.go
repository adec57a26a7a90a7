package inbox

import (
	"log/slog"
	"os"
	"testing"
)

func TestTheOldestMakeRoom(t *testing.T) {
	dir := t.TempDir()
	box, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	box.limit = 3
	var ids []string
	for range 5 {
		m, err := box.Put("a@example.com", nil, []byte("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if _, _, err := box.Get(ids[1]); err == nil {
		t.Error("an old mail is still there")
	}
	if _, _, err := box.Get(ids[2]); err != nil {
		t.Error(err)
	}
}
