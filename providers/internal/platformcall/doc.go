// Package platformcall makes the providers' calls to their platforms: code
// exchange, refresh and revocation, and by the same rules the calls with the token
// that came of it.
//
// There is one codec because these answers hold the secrets. It accepts JSON
// only in the strict sense
// ([github.com/seed944197df/connect/internal/strictjson.Decode]), tokens only of
// the alphabet and length that a header can carry, and success only where the
// body says so. Platforms differ in what an error means, so each passes its own
// [Classify].
//
// golang.org/x/oauth2 is used for authorization URLs and PKCE alone: it does
// not refresh outside of its TokenSource, takes the last of two equal keys and
// keeps the answer's body in its error.
//
// Security: no error of this package holds a body, a URL or the platform's
// prose.
package platformcall
