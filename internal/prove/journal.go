package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// event is a line of the platform's record: what it did, written before its
// answer left. Tokens are in it as hashes.
type event struct {
	At         time.Time `json:"at"`
	Kind       eventKind `json:"kind"`
	Grant      string    `json:"grant"`
	Worker     int       `json:"worker,omitempty"`     // who asked; 0: the one that connected it
	Generation int       `json:"generation,omitempty"` // of the tokens in the answer: 1 when connected
	Refresh    string    `json:"refresh,omitempty"`    // presented or issued
	Access     string    `json:"access,omitempty"`     // that the presenter has, or issued
	Expiry     time.Time `json:"expiry,omitzero"`      // of the access token that was issued
}

type eventKind string

const (
	presented eventKind = "presented" // a refresh token has come
	issued    eventKind = "issued"    // new tokens: from here on the former ones are spent
	repeated  eventKind = "repeated"  // the answer to a spent token once more
	alarmed   eventKind = "alarmed"   // a spent token: the grant is dead
	refused   eventKind = "refused"   // a token of a dead grant
)

// note is a line of the workers' record of what their store has told them.
type note struct {
	At         time.Time `json:"at"`
	Kind       noteKind  `json:"kind"`
	Grant      string    `json:"grant"`
	Worker     int       `json:"worker"`
	Generation int64     `json:"generation"`
}

type noteKind string

const (
	marked noteKind = "marked" // recorded as sent: from here on it may be presented
	unsure noteKind = "unsure" // found with a record that it may have been presented
)

// journal is a file of JSON lines that several processes may append to. A
// line is in it, whole, once write has returned: what kills a process does not
// take back what it wrote.
type journal struct{ file *os.File }

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // a file of ours
	return &journal{file}, err
}

func (j *journal) write(line any) error {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = j.file.Write(append(text, '\n'))
	}
	return err
}

// readJournal reads the lines that are whole.
func readJournal[T any](path string) ([]T, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a file of ours
	if err != nil {
		return nil, err
	}
	var lines []T
	for text := range bytes.Lines(data) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break // it is being written
		}
		var line T
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// fingerprint stands for a token.
func fingerprint(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:16])
}
