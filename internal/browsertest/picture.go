package browsertest

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/chromedp"
)

// tall is how much of a page a picture shows, in pixels.
const tall = 2700

// Picture keeps the page as a file, as far down as a picture shows. What
// sticks to the end of the window is then at the end of the picture.
func (p *Person) Picture(file string) {
	p.t.Helper()
	height := Evaluate[int64](p, "document.documentElement.scrollHeight")
	p.do("make the window as long as the page", chromedp.EmulateViewport(p.screen.Width, min(height, tall)))
	defer p.Look(p.screen)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = keep(file, shot)
	}
	if err != nil {
		p.t.Fatalf("picture of %s: %v", file, err)
	}
}

func keep(file string, shot []byte) error {
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return err
	}
	var small bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&small, indexed(img)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return os.WriteFile(file, small.Bytes(), 0o600)
}

// indexed is a picture in 256 colours, a third as large: those that most
// pixels have, but no two that are hardly different.
func indexed(img image.Image) *image.Paletted {
	all := image.NewRGBA(img.Bounds())
	draw.Draw(all, all.Bounds(), img, img.Bounds().Min, draw.Src)
	pixels := map[color.RGBA]int{}
	for y := range all.Rect.Dy() {
		for x := range all.Rect.Dx() {
			pixels[all.RGBAAt(x, y)]++
		}
	}
	colours := palette(pixels)
	nearest := map[color.RGBA]uint8{}
	for c := range pixels {
		nearest[c] = uint8(colours.Index(c))
	}
	small := image.NewPaletted(all.Rect, colours)
	for y := range all.Rect.Dy() {
		for x := range all.Rect.Dx() {
			small.SetColorIndex(x, y, nearest[all.RGBAAt(x, y)])
		}
	}
	return small
}

func palette(pixels map[color.RGBA]int) color.Palette {
	var most []color.RGBA
	for c := range pixels {
		most = append(most, c)
	}
	slices.SortFunc(most, func(a, b color.RGBA) int {
		return cmp.Or(pixels[b]-pixels[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var colours color.Palette
	for _, c := range most {
		near := func(other color.Color) bool {
			o, ok := other.(color.RGBA)
			return ok && max(apart(c.R, o.R), apart(c.G, o.G), apart(c.B, o.B)) < 4
		}
		if len(colours) < 256 && !slices.ContainsFunc(colours, near) {
			colours = append(colours, c)
		}
	}
	return colours
}

func apart(a, b uint8) uint8 { return max(a, b) - min(a, b) }
