package web

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

//go:embed all:dist
var dist embed.FS

//go:embed openapi.json
var openapi []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openapi)
}

// unbuilt is the page of a binary that was built without the console.
const unbuilt = `<!doctype html><meta charset="utf-8"><title>Cartwheel</title>
<body style="font:16px system-ui;margin:4rem auto;max-width:40rem"><h1>The shop is running</h1>
<p>The console's pages are not part of this binary: build it with <code>make build</code>. The API is at <a href="/api/openapi.json">/api</a>.</p>`

// pages serves the storefront and the console. Every path without a file is one
// of their own, and gets the start page, which knows what there is; a file that is
// not there is not found, or a browser would run a page as a script.
func pages() (http.Handler, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("console pages: %w", err)
	}
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		index = []byte(unbuilt)
	}
	static := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			httpapi.WriteProblem(w, httpapi.Problem(http.StatusMethodNotAllowed, "method_not_allowed",
				fmt.Sprintf("a page is read with GET, not with %.20s; what can be written is below /api, see /api/openapi.json", r.Method)))
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if info, err := fs.Stat(files, name); err == nil && !info.IsDir() && name != "index.html" {
			if strings.HasPrefix(name, "assets/") {
				w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // names carry a hash
			}
			static.ServeHTTP(w, r)
			return
		}
		if path.Ext(name) != "" && name != "index.html" {
			httpapi.WriteProblem(w, httpapi.Problem(http.StatusNotFound, "not_found", "there is no such file; the pages begin at /"))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'")
		http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(index))
	}), nil
}
