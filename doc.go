// Package connect lets the customers of a host application connect their
// social accounts, and keeps them connected.
//
// A host composes a [Connector] from providers, a store and keys, and mounts
// its handlers. From then on its customers can connect accounts, and its code
// asks for an [net/http.Client] of an account for as long as the account
// lives. Nothing is hosted elsewhere: tokens never leave the host's own
// database, where they are sealed.
//
// One sentence to hold on to: connect once, and it stays connected, or says
// exactly why not and who must act.
//
// A host needs only: [Config], [New], Handler, Run, Close, Client, Accounts,
// Disconnect, [Principal], [Error]; the rest is for stores and providers.
//
// # The words
//
// A tenant is the host's isolation boundary, a user is its person, and a
// [Principal] is both with how the request was authenticated. A platform is
// reached through a [Provider]. A flow is one attempt to connect, from
// [Connector.Start] to an [Outcome]. What the resource owner gives to a client
// is a [Grant]: the unit of refresh and revocation. What a grant could connect
// are its candidates; those that are chosen become an [Account] each, with an
// id of ours that survives reconnects. Many accounts may share one grant.
//
// # The tour
//
// Read in this order:
//
//   - config.go: what a host says, and everything [New] refuses.
//   - start.go: a request becomes a flow, a sealed state and a URL. state.go
//     is the state, binding.go how a flow knows who comes back.
//   - callback.go: the answer of the platform, check by check. complete.go is
//     the other way back, by ticket.
//   - candidates.go, pending.go, package selection: what may be chosen.
//     more.go and reselect.go choose again from a grant that is there;
//     importing.go is a flow for tokens that the host has from elsewhere.
//   - commit.go: grant, accounts, events and outcome in one transaction.
//   - client.go: a request as an account. refresh.go: new tokens, once, for who
//     asks. run.go does it for what is due: hold.go is a claim on a grant,
//     plan.go decides, gate.go spares the platform, present.go sends and
//     settles.
//   - health.go, probe.go: how an account is, and what the platform says.
//   - accounts.go, revoke.go, tenants.go: the end.
//   - handlers.go, link.go, ui.go: the same over HTTP, and as pages.
//   - provider.go and store.go (with events.go): the two contracts for those
//     who extend it.
//
// # Where every secret lives
//
// Tokens are sealed in the grant's row, a Page's own token in the account's
// row, and the PKCE verifier, a waiting code and the tokens of an open
// selection in the flow's row, until it ends: sealing.go is the only place
// where a secret becomes plain text on its way there, and package tokencrypt
// says how it is sealed. In memory a secret is a [Secret], which prints as "[redacted]".
// What names a flow to a browser (link, session, ticket, cookie) is derived
// from a key and stored as a digest only. Nothing secret is in an [Error], an
// [Event], a log line, a page or a URL, but for the short-lived handles
// themselves.
//
// # Compatibility
//
// Before version 1.0 anything may change in a minor release, and the changelog
// says so. What is stored is kept readable: rows and sealed values carry a
// version, and a release reads what the one before it wrote.
package connect
