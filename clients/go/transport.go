package boxtokenbroker

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A Transport is an http.RoundTripper that sends requests to Box with the tokens of a Source.
//
// A request to another host passes as it is, such as the download to which Box redirects, and so
// does one that has an Authorization header already. Where Box answers 401, the token is reported
// to the broker, and the request sent once more with another one, where its body can be sent twice
// (it has none, or a GetBody, as those of http.NewRequest mostly have).
type Transport struct {
	source *Source
	base   http.RoundTripper
	boxes  []*url.URL
}

// Transport makes a round tripper over base, or over http.DefaultTransport where base is nil. It
// gives tokens to box.com and its subdomains over https, and to the origins of the URLs in more, such
// as a stand-in for Box; a URL that is none is left out.
func (s *Source) Transport(base http.RoundTripper, more ...string) *Transport {
	if base == nil {
		base = http.DefaultTransport
	}
	transport := &Transport{source: s, base: base}
	for _, text := range more {
		if box, err := url.Parse(text); err == nil && box.Host != "" {
			transport.boxes = append(transport.boxes, box)
		}
	}
	return transport
}

// RoundTrip sends one request.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Header.Get("Authorization") != "" || !t.isBox(request.URL) {
		return t.base.RoundTrip(request)
	}
	token, err := t.source.Token(request.Context())
	if err != nil {
		closeBody(request)
		return nil, err
	}
	response, err := t.send(request, token)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	other, err := t.source.Rejected(request.Context(), token)
	again, ok := repeated(request)
	if err != nil || !ok || other.AccessToken.Text() == token.AccessToken.Text() {
		return response, nil // Box's own answer says what is wrong.
	}
	_, _ = io.CopyN(io.Discard, response.Body, longest)
	response.Body.Close()
	return t.send(again, other)
}

func (t *Transport) send(request *http.Request, token *Token) (*http.Response, error) {
	authorized := request.Clone(request.Context())
	authorized.Header.Set("Authorization", "Bearer "+token.AccessToken.Text())
	return t.base.RoundTrip(authorized)
}

func (t *Transport) isBox(url *url.URL) bool {
	for _, box := range t.boxes {
		if box.Scheme == url.Scheme && box.Host == url.Host {
			return true
		}
	}
	host := url.Hostname()
	return url.Scheme == "https" && (host == "box.com" || strings.HasSuffix(host, ".box.com"))
}

// repeated is the same request with its body at the beginning; false where that cannot be.
func repeated(request *http.Request) (*http.Request, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, false
	}
	again := request.Clone(request.Context())
	again.Body = body
	return again, true
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		request.Body.Close()
	}
}
