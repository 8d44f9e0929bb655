package connect

import "net/http"

// HealthHandler serves GET /accounts/{id}/health.
func (c *Connector) HealthHandler() http.Handler {
	return c.answer(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		query, err := knownQuery(r, "probe")
		if err != nil {
			return 0, nil, err
		}
		live := query.Has("probe")
		if live && query.Get("probe") != "live" {
			return 0, nil, invalid("health", "probe", `May be "live".`)
		}
		h, err := c.Health(r.Context(), p, r.PathValue("id"), HealthRequest{Live: live})
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, h.wire(), nil
	})
}

// RefreshHandler serves POST /accounts/{id}/refresh.
func (c *Connector) RefreshHandler() http.Handler {
	return c.answer(http.MethodPost, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		account, err := c.Refresh(r.Context(), p, r.PathValue("id"))
		return http.StatusOK, account, err
	})
}
