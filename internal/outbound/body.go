package outbound

import (
	"context"
	"errors"
	"io"
	"math"
)

// body is an answer's body that ends with an error after left bytes, and whose errors are rewritten.
// Like any response body it must not be read by two goroutines at once.
type body struct {
	from   io.ReadCloser
	left   int64 // below 0: more than allowed has come
	call   *call
	ctx    context.Context //nolint:containedctx // of this one call
	cancel context.CancelFunc
}

func (t *transport) bodyLimit() int64 {
	if t.limits == nil {
		return math.MaxInt64 - 1
	}
	return t.limits.Body
}

// Read reads at most one byte more than is left, to tell an answer of exactly the limit from a longer one.
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.call.fail(ErrBodyTooLarge)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = -1
		return n, b.call.fail(ErrBodyTooLarge)
	}
	b.left -= int64(n)
	return n, b.rewrite(err)
}

// rewrite turns an end that came after the deadline into an error: a server that sees the connection being closed
// may still end a half-written answer properly.
func (b *body) rewrite(err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, io.EOF):
		return b.call.fail(err)
	case b.ctx.Err() != nil:
		return b.call.fail(b.ctx.Err())
	}
	return io.EOF
}

// Close ends the call. What was not read is dropped.
func (b *body) Close() error {
	defer b.cancel()
	if err := b.from.Close(); err != nil {
		return b.call.fail(err)
	}
	return nil
}
