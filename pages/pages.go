// Package pages renders the engine's own pages: plain, server-rendered HTML
// that needs no script, is readable on a phone, in light and in dark, and with
// a screen reader (WCAG 2.2 AA).
//
// The engine fills one struct per page and calls [Pages.Render]. A host may
// change the look with a [Theme], single templates with [Options].Templates
// and every sentence with [Options].Text.
//
// Security: what a platform says about its accounts (names, ids, avatars) is
// hostile here. It reaches a page only through html/template's contextual
// escaping, after control and direction characters are gone and the text is
// cut to 200 characters. A page holds no inline style and no script, and its
// Content-Security-Policy allows none, but for the one script of a popup's
// result page.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
)

//go:embed templates
var embedded embed.FS

// maxPage bounds a rendered page, in bytes. A picker of 100 candidates with
// the longest names takes a tenth of it.
const maxPage = 4 << 20

// Options is what a host may change. The zero value serves the default look
// under the root path.
type Options struct {
	// BasePath is the path under which the engine is mounted, such as
	// "/connect": a leading slash and no trailing one. Defaults to "".
	BasePath string

	// Theme is the look. The zero value is ours.
	Theme Theme

	// Templates replaces single files of ours: "layout.html", "parts.html",
	// "style.css" or a page's own, such as "picker.html", at its root. A file
	// that is absent stays ours; an HTML file of another name is refused. Nil
	// replaces nothing.
	Templates fs.FS

	// Text replaces entries of the catalogue, which [Text] returns. Unknown
	// keys and unknown placeholders are refused. Nil replaces nothing.
	Text map[string]string
}

// Pages renders the engine's pages. It does not change after [New] and is safe
// for concurrent use.
type Pages struct {
	base      string
	theme     Theme
	text      map[string]string
	templates map[string]*template.Template
	style     []byte
	popup     template.JS // the script of a popup's result page
	popupHash string      // as a source in a Content-Security-Policy
}

// New parses and tries out every template, so that a mistake in a replaced one
// shows now and not when a visitor arrives. Its errors name the field that is
// wrong.
func New(o Options) (*Pages, error) {
	if !basePath.MatchString(o.BasePath) {
		return nil, errors.New(`pages: BasePath must be empty or a path such as "/connect", with no slash at its end`)
	}
	p := &Pages{base: o.BasePath, theme: o.Theme}
	if err := p.theme.validate(); err != nil {
		return nil, err
	}
	var err error
	if p.text, err = catalogue(o.Text); err != nil {
		return nil, err
	}
	files, err := newFiles(o.Templates)
	if err != nil {
		return nil, err
	}
	if err := p.loadStyle(files); err != nil {
		return nil, err
	}
	if err := p.loadPopup(); err != nil {
		return nil, err
	}
	if err := p.loadTemplates(files); err != nil {
		return nil, err
	}
	return p, nil
}

var basePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)

func (p *Pages) loadStyle(f files) error {
	css, err := f.read("style.css")
	if err != nil {
		return err
	}
	p.style = append([]byte(p.theme.css()), css...)
	return nil
}

// loadPopup reads the one script that there is. A host cannot replace it.
func (p *Pages) loadPopup() error {
	script, err := embedded.ReadFile("templates/popup.js")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(script)
	p.popup = template.JS(script) //nolint:gosec // a constant of ours
	p.popupHash = "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	return nil
}

func (p *Pages) loadTemplates(f files) error {
	p.templates = make(map[string]*template.Template)
	for _, page := range samples() {
		name := page.template()
		t := template.New(name).Funcs(p.funcs())
		for _, file := range []string{"layout.html", "parts.html", name} {
			source, err := f.read(file)
			if err != nil {
				return err
			}
			if _, err := t.Parse(string(source)); err != nil {
				return fmt.Errorf("pages: Templates: %s: %w", file, err)
			}
		}
		p.templates[name] = t
		if _, err := p.execute(page); err != nil {
			return fmt.Errorf("pages: Templates: %s: %w", name, err)
		}
	}
	return nil
}

// Render writes the page. The page is built whole, in a bounded buffer, before
// the first header is set: on an error nothing was written and the caller may
// still answer otherwise. It fails when the status is not one of HTTP's, when
// a value of the page does not fit its place (an origin that is none, say) or
// when the page would exceed 4 MiB. Its error may quote the page's data, so it
// belongs in the host's log and never in an answer.
func (p *Pages) Render(w http.ResponseWriter, status int, page Page) error {
	if page == nil || status < 200 || status > 599 {
		return errors.New("pages: no page, or a status outside 200 to 599")
	}
	policy, err := p.policy(page)
	if err != nil {
		return err
	}
	body, err := p.execute(page)
	if err != nil {
		return fmt.Errorf("pages: %s: %w", page.template(), err)
	}
	refresh, err := refreshHeader(page)
	if err != nil {
		return err
	}
	setHeaders(w.Header(), policy, refresh, openerOf(page) != nil)
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

func (p *Pages) execute(page Page) ([]byte, error) {
	t, ok := p.templates[page.template()]
	if !ok {
		return nil, errors.New("no such template")
	}
	var body bounded
	if err := t.ExecuteTemplate(&body, "layout", page); err != nil {
		return nil, err
	}
	return bytes.ToValidUTF8(body.Bytes(), []byte("\ufffd")), nil
}

// bounded is a buffer that refuses to outgrow maxPage.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(data []byte) (int, error) {
	if b.Len()+len(data) > maxPage {
		return 0, errors.New("the page is too large")
	}
	return b.Buffer.Write(data)
}

// Style serves the stylesheet, theme included. Pages refer to it as
// {BasePath}/ui/style.css. Like every answer of ours it is not cached.
func (p *Pages) Style() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/css; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write(p.style) // the visitor left: nothing to do
	})
}

// files reads templates: the host's where it has one, else ours.
type files struct{ replaced fs.FS }

func newFiles(replaced fs.FS) (files, error) {
	if replaced == nil {
		return files{}, nil
	}
	names, err := fs.Glob(replaced, "*.html")
	if err != nil {
		return files{}, fmt.Errorf("pages: Templates: %w", err)
	}
	for _, name := range names {
		if _, err := fs.Stat(embedded, "templates/"+name); err != nil {
			return files{}, fmt.Errorf("pages: Templates: %s is not the name of one of our files (%s)", name, strings.Join(fileNames(), ", "))
		}
	}
	return files{replaced: replaced}, nil
}

func (f files) read(name string) ([]byte, error) {
	if f.replaced != nil {
		data, err := fs.ReadFile(f.replaced, name)
		if err == nil {
			return data, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("pages: Templates: %w", err)
		}
	}
	return embedded.ReadFile("templates/" + name)
}

func fileNames() []string {
	names := []string{"layout.html", "parts.html", "style.css"}
	for _, page := range samples() {
		names = append(names, page.template())
	}
	return names
}
