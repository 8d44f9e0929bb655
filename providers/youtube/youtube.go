// Package youtube connects YouTube channels by Google's OAuth 2.0.
//
// The person chooses the channel on Google's own screen, where one who manages
// several by Brand Accounts sees all of them. The consent is then that
// channel's: it lists exactly one, or none where the Google account has no
// channel. Another channel takes another consent.
//
// Source: developers.google.com/youtube/v3, "Channels: list" and "Errors";
// github.com/googleapis/google-api-nodejs-client, issue 2613.
package youtube

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/google"
	"github.com/seed944197df/connect/selection"
)

const (
	scopeReadOnly = google.ScopePrefix + "youtube.readonly"
	scopeUpload   = google.ScopePrefix + "youtube.upload"

	host   = "www.googleapis.com"
	apiURL = "https://" + host + "/youtube/v3"

	nothing = "This Google account has no YouTube channel. Create one on youtube.com, or connect again and choose the account or channel that you publish with."
)

// listing are the scopes with one of which channels can be listed; that of
// uploads is none of them.
var listing = []string{scopeReadOnly, google.ScopePrefix + "youtube", google.ScopePrefix + "youtube.force-ssl"}

// Options are the settings of [New].
type Options struct {
	ClientID     string         // of the OAuth client in the Google Cloud console, of the type Web application
	ClientSecret connect.Secret // of the same client

	// Scopes are requested when a flow names none. Added where they are absent:
	// openid, and youtube.readonly unless youtube or youtube.force-ssl is there.
	// Defaults to what publishing needs: openid, and of YouTube youtube.upload
	// and youtube.readonly, by their full names.
	Scopes []string
}

// login gives the provider what is the same for all of Google.
type login = google.Login

// Provider connects YouTube channels. It is safe for concurrent use.
type Provider struct{ login }

// A capability whose signature is not the contract's would silently be none.
var (
	_ connect.Provider   = (*Provider)(nil)
	_ connect.Checker    = (*Provider)(nil)
	_ connect.OAuth      = (*Provider)(nil)
	_ connect.Lister     = (*Provider)(nil)
	_ connect.Refresher  = (*Provider)(nil)
	_ connect.Identifier = (*Provider)(nil)
	_ connect.Revoker    = (*Provider)(nil)
	_ connect.Classifier = (*Provider)(nil)
)

// New returns the provider for one OAuth client at Google. It should be the
// same client as that of other Google platforms: they share persons. What is
// wrong with opts is for [connect.New] to say.
func New(opts Options) *Provider {
	client := connect.Client{ID: opts.ClientID, Secret: opts.ClientSecret}
	defaults := []string{google.ScopeOpenID, scopeUpload, scopeReadOnly}
	return &Provider{google.NewLogin("youtube", client, opts.Scopes, defaults, listing)}
}

// Platform implements [connect.Provider].
func (p *Provider) Platform() connect.Platform {
	return p.Describe(connect.Platform{
		Name:        "youtube",
		DisplayName: "YouTube",
		Kinds:       []connect.Kind{{Name: "channel", Scopes: p.Used()}},
		Hosts:       []string{host, "youtube.googleapis.com"},
		APIBaseURL:  apiURL,
		Version:     connect.Version{Name: "v3"},
		Nothing:     nothing,
	})
}

// channels is what YouTube lists. An account without a channel has no items.
type channels struct {
	Items []struct {
		ID      string `json:"id"`
		Snippet struct {
			Title      string `json:"title"`
			Handle     string `json:"customUrl"`
			Thumbnails struct {
				Default struct {
					URL string `json:"url"`
				} `json:"default"`
			} `json:"thumbnails"`
		} `json:"snippet"`
	} `json:"items"`
	Next string `json:"nextPageToken"`
}

var channelID = regexp.MustCompile(`^UC[A-Za-z0-9_-]{22}$`)

// List implements [connect.Lister]. It costs one unit of the daily quota.
func (p *Provider) List(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	query := url.Values{"part": {"snippet"}, "mine": {"true"}, "maxResults": {"50"}}
	if req.Cursor != "" {
		query.Set("pageToken", req.Cursor)
	}
	var list channels
	err := google.Get(ctx, env, tokens, apiURL+"/channels", query, &list)
	if e, ok := errors.AsType[*connect.ProviderError](err); ok && e.Code == "youtubeSignupRequired" {
		err = nil // the other way in which YouTube says that there is no channel
	}
	if err != nil {
		return connect.CandidatePage{}, err
	}
	page := connect.CandidatePage{}
	if list.Next != req.Cursor && len(list.Next) <= 1024 {
		page.Next = list.Next
	}
	for _, item := range list.Items {
		if !channelID.MatchString(item.ID) {
			continue
		}
		c := connect.Candidate{Candidate: selection.Candidate{
			Kind:       "channel",
			PlatformID: item.ID,
			Name:       item.Snippet.Title,
			Username:   strings.TrimPrefix(item.Snippet.Handle, "@"),
		}}
		if picture := item.Snippet.Thumbnails.Default.URL; strings.HasPrefix(picture, "https://") {
			c.AvatarURL = picture
		}
		page.Candidates = append(page.Candidates, c)
	}
	return page, nil
}
