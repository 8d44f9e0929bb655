package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxTokens bounds the tokens and codes that are remembered; above it the
// older half is forgotten.
const maxTokens = 100_000

// state is what survives a restart.
type state struct {
	Version int                          `json:"version"`
	Tokens  map[string]*token            `json:"tokens"`
	Grants  map[string]map[string]string `json:"grants"` // Facebook and Google: client and person, then permission, to its status
	Records map[string]any               `json:"records"`
	Faults  []Fault                      `json:"faults"`
}

// A token is a code, an access, refresh or Page token, dead ones included.
type token struct {
	Platform   string    `json:"platform"`
	Kind       string    `json:"kind"` // code, access, refresh, page
	Client     string    `json:"client,omitempty"`
	Persona    string    `json:"persona"`
	Scopes     []string  `json:"scopes,omitempty"`
	Issued     time.Time `json:"issued"`
	Expires    time.Time `json:"expires,omitzero"` // zero: never
	DataAccess time.Time `json:"data_access,omitzero"`
	Family     string    `json:"family,omitempty"` // all that came from one consent
	Dead       string    `json:"dead,omitempty"`   // used, rotated, revoked, removed
	Redirect   string    `json:"redirect,omitempty"`
	Challenge  string    `json:"challenge,omitempty"`
	Page       string    `json:"page,omitempty"`
	Long       bool      `json:"long,omitempty"`  // Facebook: a user token of 60 days
	Fresh      bool      `json:"fresh,omitempty"` // Google: a code of a consent screen that was asked for
	Fixed      bool      `json:"fixed,omitempty"` // Google: a refresh token that use does not extend
	Next       string    `json:"next,omitempty"`  // Bluesky: what it was rotated to
}

// live says whether the token works at a time.
func (t *token) live(now time.Time) bool {
	return t.Dead == "" && (t.Expires.IsZero() || now.Before(t.Expires))
}

// load reads the state file, or starts afresh where there is none.
func (s *Sandbox) load() error {
	s.state = state{Version: 1, Tokens: map[string]*token{}, Grants: map[string]map[string]string{}, Records: map[string]any{}}
	if s.file == "" {
		return nil
	}
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		s.dirty = true
		return s.save()
	}
	if err != nil {
		return fmt.Errorf("sandbox: Options.StateFile: %w", err)
	}
	err = json.Unmarshal(b, &s.state)
	if err != nil || s.state.Version != 1 || s.state.Tokens == nil || s.state.Grants == nil || s.state.Records == nil {
		return errors.New("sandbox: Options.StateFile is not a state file of this version; remove it or name another")
	}
	maps.DeleteFunc(s.state.Tokens, func(_ string, t *token) bool { return t == nil || !t.known() })
	return nil
}

// known says whether the sandbox still has the person that a token is of.
func (t *token) known() bool {
	if t.Platform == "bluesky" {
		return named(t.Persona) != nil
	}
	return person(t.Platform, t.Persona) != nil
}

// save writes the state file if there is something new. The file is replaced
// whole, so that a crash leaves the old one or the new one.
func (s *Sandbox) save() error {
	if !s.dirty || s.file == "" {
		return nil
	}
	b, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.file), filepath.Base(s.file)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("sandbox: Options.StateFile: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sandbox: Options.StateFile: %w", err), os.Remove(f.Name()))
	}
	s.dirty = false
	return nil
}

// put remembers a token under its value.
func (s *Sandbox) put(value string, t token) string {
	if len(s.state.Tokens) >= maxTokens {
		s.forget()
	}
	s.state.Tokens[value] = &t
	s.dirty = true
	return value
}

// forget drops the older half of the tokens.
func (s *Sandbox) forget() {
	age := func(a, b string) int { return s.state.Tokens[a].Issued.Compare(s.state.Tokens[b].Issued) }
	list := slices.SortedFunc(maps.Keys(s.state.Tokens), age)
	for _, value := range list[:len(list)/2] {
		delete(s.state.Tokens, value)
	}
}

// find returns the token of a platform and kind with the given value, or nil.
func (s *Sandbox) find(platform, kind, value string) *token {
	t := s.state.Tokens[value]
	if t == nil || t.Platform != platform || t.Kind != kind {
		return nil
	}
	return t
}

// kill marks a token dead. The first reason stays.
func (s *Sandbox) kill(t *token, why string) {
	if t.Dead == "" {
		t.Dead = why
		s.dirty = true
	}
}

// killAll marks every token dead that match picks.
func (s *Sandbox) killAll(why string, match func(*token) bool) {
	for _, t := range s.state.Tokens {
		if match(t) {
			s.kill(t, why)
		}
	}
}

// Secrets returns every code and token that the sandbox has issued, those of
// its state file included, and the client secrets and passwords it knows, so
// that a test can search logs and files for them. Of more than 100,000 tokens
// it has forgotten the oldest.
func (s *Sandbox) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Collect(maps.Keys(s.state.Tokens))
	for _, c := range s.clients {
		list = append(list, c.Secret)
	}
	list = append(list, appPassword)
	slices.Sort(list)
	return slices.Compact(list)
}

// verifies says whether a PKCE verifier has the given S256 challenge.
func verifies(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return same(base64.RawURLEncoding.EncodeToString(sum[:]), challenge)
}

// validVerifier reports whether v has the length and letters of RFC 7636
// section 4.1.
func validVerifier(v string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(v) >= 43 && len(v) <= 128 && strings.Trim(v, letters) == ""
}

// same compares two secrets in constant time.
func same(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
