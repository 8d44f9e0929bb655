package pages

import (
	"hash/fnv"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName  = 200  // characters of a name that a page shows
	maxBytes = 8192 // bytes of a name that are looked at
	maxMarks = 4    // combining marks on one letter
	maxURL   = 2048 // bytes of an avatar's URL
)

// clean makes a platform's text fit to show: one line of at most 200
// characters, without control, direction and invisible characters, and with
// no more marks on a letter than a language uses.
//
// Security: U+202E and its kin make one name look like another
// ([UTR 36]), stacked marks paint over the rows around them. The two
// joiners are kept where scripts and emoji need them: after a letter that is
// not ASCII.
//
// [UTR 36]: https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
func clean(s string) string {
	var b strings.Builder
	s, cut := head(s)
	kept, marks := 0, 0
	space, last := false, rune(0)
	for len(s) > 0 && kept < maxName {
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		if unicode.IsSpace(r) {
			space = kept > 0
			continue
		}
		if hidden(r, last) {
			continue
		}
		if marks = countMarks(marks, r); marks > maxMarks {
			continue
		}
		if space && kept == maxName-1 {
			cut = true // no room for the space and the word after it
			break
		}
		if space {
			b.WriteByte(' ')
			kept++
		}
		b.WriteRune(r)
		kept++
		space, last = false, r
	}
	if kept > 0 && (cut || len(s) > 0) {
		b.WriteRune('\u2026')
	}
	return b.String()
}

// head is the part of s that is looked at, and whether more follows.
func head(s string) (string, bool) {
	if len(s) <= maxBytes {
		return s, false
	}
	end := maxBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end], true
}

// handle shows a username with the @ that people know it by; one that holds an
// @ already, such as an address or a name with its server, stays as it is.
func handle(s string) string {
	s = clean(s)
	if s == "" || strings.Contains(s, "@") {
		return s
	}
	return "@" + s
}

// hidden reports whether r, after last, would not show or would move others.
func hidden(r, last rune) bool {
	switch r {
	case '\u200c', '\u200d': // zero-width non-joiner and joiner
		return last < utf8.RuneSelf || last == r
	case '\u2800': // a blank that counts as a symbol
		return true
	}
	return unicode.In(r, unicode.C, unicode.Other_Default_Ignorable_Code_Point)
}

func countMarks(before int, r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return before + 1
	}
	return 0
}

// isolate keeps a right-to-left name from reordering the sentence around it.
// A template puts names into bdi elements; a sentence of the catalogue cannot.
func isolate(s string) string {
	for _, r := range s {
		if r >= utf8.RuneSelf {
			return "\u2068" + s + "\u2069"
		}
	}
	return s
}

// avatar returns the URL if it is one to load a picture from, else "".
//
// Security: only https, without credentials and of a sane length; the page
// then shows initials. The picture's server learns that somebody looked, but
// through no-referrer not at what.
func avatar(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Scheme != "https" || u.User != nil || u.Host == "" {
		return ""
	}
	return s
}

// initials are the first letters of the first two words.
func initials(s string) string {
	var letters []rune
	for word := range strings.FieldsSeq(clean(s)) {
		for _, r := range word {
			if unicode.IsLetter(r) || unicode.IsNumber(r) {
				letters = append(letters, unicode.ToUpper(r))
				break
			}
		}
		if len(letters) == 2 {
			break
		}
	}
	if len(letters) == 0 {
		return "#"
	}
	return string(letters)
}

// hue picks one of the stylesheet's six placeholder colours, the same for the
// same text each time.
func hue(s string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // never fails
	return int(h.Sum32() % 6)
}
