package pages

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Theme is the host's look. Every field may be left empty; [New] refuses
// values that would not be safe or legible in a stylesheet.
type Theme struct {
	// Accent colours buttons, links and the focus ring, as "#rrggbb". The text
	// on it, and the shades that links take on light and dark pages, are
	// computed so that contrast never falls below WCAG 2.2 AA. Defaults to
	// "#3b5bdb".
	Accent string

	// Radius rounds corners: a number with "px" or "rem", at most 32 px or
	// 2 rem. Defaults to "10px".
	Radius string

	// Font is a list of font families as in CSS. A font that the visitor's
	// machine lacks is not loaded. Defaults to the system's own.
	Font string

	// LogoURL is shown above each page, 32 CSS pixels high: an https URL or an
	// absolute path of this site. Defaults to none.
	LogoURL string

	// HomeURL is the host's own start page, to which the logo and the name lead,
	// and a button on pages that end something: an https URL or an absolute path
	// of this site, such as "/". Defaults to none: there is no link.
	HomeURL string

	// SignInURL is where a person signs in to the host, for the page that asks
	// for it; as HomeURL. Defaults to none.
	SignInURL string

	// ProductName is the host's name, at most 60 characters: in titles, in
	// sentences and beside the logo. Defaults to none.
	ProductName string
}

const systemFont = `system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif`

var (
	accent = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)
	radius = regexp.MustCompile(`^([0-9]{1,2}(?:\.[0-9]{1,3})?)(px|rem)$`)
	family = regexp.MustCompile(`^(-?[A-Za-z][A-Za-z0-9 -]*|"[A-Za-z0-9 -]+"|'[A-Za-z0-9 -]+')$`)
	path   = regexp.MustCompile(`^(/[A-Za-z0-9._~%-]+)+$`)
)

// validate fills the defaults and refuses what does not belong in a
// stylesheet or a page, naming the field.
func (t *Theme) validate() error {
	t.Accent = or(t.Accent, "#3b5bdb")
	t.Radius = or(t.Radius, "10px")
	t.Font = or(t.Font, systemFont)
	switch {
	case !accent.MatchString(t.Accent):
		return errors.New(`pages: Theme.Accent must be a colour such as "#3b5bdb"`)
	case !validRadius(t.Radius):
		return errors.New(`pages: Theme.Radius must be a length such as "10px" or "0.5rem", at most 32px or 2rem`)
	case !validFont(t.Font):
		return errors.New(`pages: Theme.Font must be a list of font families, quoted where CSS asks for it, at most 300 characters`)
	case t.LogoURL != "" && !validURL(t.LogoURL):
		return errors.New(`pages: Theme.LogoURL must be an https URL or a path such as "/logo.svg"`)
	case t.HomeURL != "" && !validPage(t.HomeURL):
		return errors.New(`pages: Theme.HomeURL must be an https URL or a path such as "/"`)
	case t.SignInURL != "" && !validPage(t.SignInURL):
		return errors.New(`pages: Theme.SignInURL must be an https URL or a path such as "/login"`)
	case t.ProductName != clean(t.ProductName) || utf8.RuneCountInString(t.ProductName) > 60:
		return errors.New("pages: Theme.ProductName must be at most 60 characters, without control characters or outer spaces")
	}
	return nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func validRadius(s string) bool {
	m := radius.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	most := 32.0
	if m[2] == "rem" {
		most = 2
	}
	return err == nil && n <= most
}

func validFont(s string) bool {
	for name := range strings.SplitSeq(s, ",") {
		if !family.MatchString(strings.TrimSpace(name)) {
			return false
		}
	}
	return len(s) <= 300
}

// validPage is validURL where the address may end in a slash.
func validPage(s string) bool { return s == "/" || validURL(strings.TrimSuffix(s, "/")) }

func validURL(s string) bool {
	if path.MatchString(s) {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.User == nil && len(s) <= 2048 && origin.MatchString("https://"+u.Host)
}

// The colours of style.css that the accent must be legible on, the harder of
// each scheme: light's --page, dark's --surface.
var (
	lightSurface = rgb{0xf4, 0xf5, 0xf7}
	darkSurface  = rgb{0x1d, 0x20, 0x26}
)

// css is the head of the stylesheet: the theme as custom properties.
func (t *Theme) css() string {
	a := parseRGB(t.Accent)
	const block = ":root {\n\t--accent: %s;\n\t--on-accent: %s;\n\t--link: %s;\n\t--radius: %s;\n\t--font: %s;\n}\n" +
		"@media (prefers-color-scheme: dark) {\n\t:root {\n\t\t--link: %s;\n\t}\n}\n\n"
	return fmt.Sprintf(block, a, a.text(), a.legibleOn(lightSurface, black), t.Radius, t.Font, a.legibleOn(darkSurface, white))
}

// rgb is an sRGB colour.
type rgb struct{ r, g, b uint8 }

var (
	black = rgb{0, 0, 0}
	white = rgb{255, 255, 255}
)

func parseRGB(s string) rgb {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil {
		return black // validate has refused it
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// text is the colour of text on c: whichever of black and white stands out
// more, which is never less than 4.58 to 1.
func (c rgb) text() rgb {
	if contrast(c, white) >= contrast(c, black) {
		return white
	}
	return black
}

// legibleOn mixes c with the given end, black or white, no further than it
// takes to read it on the surface at 4.5 to 1.
func (c rgb) legibleOn(surface, end rgb) rgb {
	for step := range 20 {
		if mixed := c.mix(end, float64(step)/20); contrast(mixed, surface) >= 4.5 {
			return mixed
		}
	}
	return end
}

func (c rgb) mix(with rgb, share float64) rgb {
	channel := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a)*(1-share) + float64(b)*share))
	}
	return rgb{channel(c.r, with.r), channel(c.g, with.g), channel(c.b, with.b)}
}

// contrast is the ratio of two colours' luminances, 1 to 21, as [WCAG 2.2]
// defines it.
//
// [WCAG 2.2]: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func (c rgb) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}
