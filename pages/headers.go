package pages

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// setHeaders sets what every page carries. A popup's result page alone keeps
// its opener, to tell it the outcome.
//
// Security: frame-ancestors and X-Frame-Options against clickjacking,
// Cross-Origin-Opener-Policy against an opener that steers the page,
// no-referrer because page URLs name flows and sessions, no-store because
// pages hold names and the tokens of their forms. Under no-referrer browsers send
// "Origin: null" with a form's post: who checks origins must go by
// Sec-Fetch-Site.
func setHeaders(h http.Header, policy, refresh string, popup bool) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if popup {
		h.Set("Cross-Origin-Opener-Policy", "unsafe-none")
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Del("Refresh")
	if refresh != "" {
		h.Set("Refresh", refresh)
	}
}

// policy is the page's Content-Security-Policy: our stylesheet, images only
// where the page shows some, forms only to ourselves and to where their post
// redirects, since Chromium checks form-action on each redirect as well. No
// script, but for the one of a popup's result page, by its hash.
func (p *Pages) policy(page Page) (string, error) {
	forms := []string{"form-action 'self'"}
	for _, target := range page.formTargets() {
		if !origin.MatchString(target) {
			return "", errors.New("pages: a form target is not an origin")
		}
		forms = append(forms, target)
	}
	directives := []string{"default-src 'none'", "style-src 'self'"}
	if images := p.images(page); images != "" {
		directives = append(directives, "img-src"+images)
	}
	if opener := openerOf(page); opener != nil {
		if !origin.MatchString(opener.Origin) {
			return "", errors.New("pages: Opener.Origin is not an origin")
		}
		directives = append(directives, "script-src '"+p.popupHash+"'")
	}
	directives = append(directives, strings.Join(forms, " "), "frame-ancestors 'none'", "base-uri 'none'")
	return strings.Join(directives, "; "), nil
}

// openerOf is whom the page tells its outcome, or nil.
func openerOf(page Page) *Opener {
	if popup, ok := page.(interface{ opener() *Opener }); ok {
		return popup.opener()
	}
	return nil
}

// origin is a scheme, a host and perhaps a port. It has no room for the
// spaces, semicolons and wildcards that mean something in a policy.
var origin = regexp.MustCompile(`^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

func (p *Pages) images(page Page) string {
	if page.hasAvatars() {
		return " 'self' https:"
	}
	logo, err := url.Parse(p.theme.LogoURL)
	switch {
	case err != nil || p.theme.LogoURL == "":
		return ""
	case logo.Host == "":
		return " 'self'"
	default:
		return " https://" + logo.Host
	}
}

// refreshHeader makes a waiting page reload itself. It is a header and not a
// meta element, so that a host that replaces the template keeps it.
func refreshHeader(page Page) (string, error) {
	waiting, ok := page.(interface{ refresh() string })
	if !ok {
		return "", nil
	}
	target, err := url.Parse(waiting.refresh())
	if err != nil || target.Opaque != "" || (target.Scheme != "" && target.Scheme != "https" && target.Scheme != "http") {
		return "", errors.New("pages: Working.Refresh is not a URL to go to")
	}
	return strconv.Itoa(int(refreshAfter/time.Second)) + "; url=" + quotes.Replace(target.String()), nil
}

// quotes escapes what would end the URL in a Refresh header.
var quotes = strings.NewReplacer(`"`, "%22", "'", "%27", ";", "%3B", " ", "%20")

// refreshAfter is how long a waiting page waits.
const refreshAfter = 2 * time.Second
