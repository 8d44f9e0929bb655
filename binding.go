package connect

// Binding is how a flow makes sure that who comes back is who began.
type Binding string

// The levels.
const (
	BindSession    Binding = "session"
	BindBrowser    Binding = "browser"
	BindTicket     Binding = "ticket"
	UnsafeBindNone Binding = "none"
)
