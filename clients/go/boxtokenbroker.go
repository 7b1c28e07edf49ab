// Package boxtokenbroker lets Go programs call Box with the tokens of a Box Token Broker.
//
//	source, err := boxtokenbroker.New("https://broker.example.com", "acme", boxtokenbroker.Key(os.Getenv("BTB_KEY")))
//	client := &http.Client{Transport: source.Transport(nil)}
//	response, err := client.Get("https://api.box.com/2.0/folders/0/items")
//
// Every request is sent with a token that the broker would give out at that moment, so that a job
// of any length goes on without a 401.
package boxtokenbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// pause is how long a renewal that failed is not tried again, while the token that is held lives.
const pause = 5 * time.Second

// Credential returns an API key or an OIDC token of now. It is called for every request to the
// broker.
type Credential func(context.Context) (string, error)

// Key is a credential that stays the same.
func Key(key string) Credential {
	return func(context.Context) (string, error) { return key, nil }
}

// Options say what tokens a Source asks for, and how. The zero value asks for the tenant's service
// account.
type Options struct {
	// UserID is the Box user for whom tokens are.
	UserID string
	// MinTTL is how long every token must live at least when it is received, in whole seconds.
	MinTTL time.Duration
	// OnBehalfOf is for whom the caller works; the broker writes it down.
	OnBehalfOf string
	// MaxWait is how long one call may wait in all for a broker that says to come later; 30 s where
	// it is zero.
	MaxWait time.Duration
	// Transport sends the requests to the broker; without one, a transport that uses no proxy.
	Transport RoundTripper
}

// A Token is an access token of Box's.
type Token struct {
	// AccessToken is the token itself.
	AccessToken Secret
	// ExpiresAt is when it ends, by this machine's clock.
	ExpiresAt time.Time
	// RestrictedTo is what Box restricted a downscoped token to.
	RestrictedTo []Restriction
}

// A Restriction is one scope of a downscoped token, and where it holds.
type Restriction struct {
	Scope  string   `json:"scope"`
	Object Resource `json:"object"`
}

// A Resource is a file or a folder.
type Resource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// A Secret is a text that no format verb and no encoder shows, wherever it stands; Text is the text.
type Secret struct {
	// A function: fmt looks into everything else, in fields that are not exported too.
	text func() string
}

func secret(text string) Secret { return Secret{func() string { return text }} }

// Text is the text itself.
func (s Secret) Text() string {
	if s.text == nil {
		return ""
	}
	return s.text()
}

// String hides the text.
func (Secret) String() string { return "(secret)" }

// Format hides the text from every verb.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "(secret)") }

// A Source gives the tokens of one tenant, for one subject. It may be shared by goroutines.
type Source struct {
	broker  *broker
	asked   request
	options Options

	mutex     sync.Mutex
	held      *Token
	refreshAt time.Time
	flight    *flight
}

// flight is one request for a token, and the answer to come. A renewal is not tried again.
type flight struct {
	rejected Secret
	renewal  bool
	done     chan struct{}
	token    *Token
	err      error
}

// New makes a source of tokens for the service account of a tenant, by its name or id.
func New(brokerURL, tenant string, credential Credential) (*Source, error) {
	return NewWith(brokerURL, tenant, credential, Options{})
}

// NewWith makes a source of the tokens that the options ask for.
func NewWith(brokerURL, tenant string, credential Credential, options Options) (*Source, error) {
	broker, err := newBroker(brokerURL, tenant, credential, options)
	if err != nil {
		return nil, err
	}
	asked := request{MinTTL: int64(options.MinTTL / time.Second), OnBehalfOf: options.OnBehalfOf}
	if options.UserID != "" {
		asked.Subject = &Resource{Type: "user", ID: options.UserID}
	}
	return &Source{broker: broker, asked: asked, options: options}, nil
}

// ForUser is the same source for a user of the tenant's enterprise.
func (s *Source) ForUser(userID string) *Source {
	options, asked := s.options, s.asked
	options.UserID = userID
	asked.Subject = &Resource{Type: "user", ID: userID}
	return &Source{broker: s.broker, asked: asked, options: options}
}

// Token is the token of now: the one that is held until it is to be renewed, then another.
func (s *Source) Token(ctx context.Context) (*Token, error) {
	held, refreshAt := s.now()
	if held != nil && s.broker.now().Before(refreshAt) {
		return held, nil
	}
	if held == nil || !s.broker.now().Before(held.ExpiresAt) {
		return s.ask(ctx, Secret{}, false)
	}
	token, err := s.ask(ctx, Secret{}, true)
	var refusal *Error
	if err == nil || !errors.As(err, &refusal) || !refusal.Temporary {
		return token, err
	}
	if !s.broker.now().Before(held.ExpiresAt) {
		return s.ask(ctx, Secret{}, false)
	}
	s.putOff(held, refusal.RetryAfter)
	return held, nil // What is still alive is worth more than an error.
}

// Rejected tells the broker that Box answered 401 to a token. The broker looks whether that is so,
// and answers with another token or with the same. A Transport does it by itself.
func (s *Source) Rejected(ctx context.Context, token *Token) (*Token, error) {
	if held, _ := s.now(); held != nil && held.AccessToken.Text() != token.AccessToken.Text() {
		return held, nil // Somebody has replaced it.
	}
	return s.ask(ctx, token.AccessToken, false)
}

// Forget drops the token that is held. It is not revoked at Box: others use the same one. To end it
// for everybody there is POST /v1/tenants/{tenant}/token/revoke.
func (s *Source) Forget() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.held = nil
}

// Downscope gives a token that may do no more than the scopes, on one file or folder where resource
// is not nil. It is not kept.
func (s *Source) Downscope(ctx context.Context, scopes []string, resource *Resource) (*Token, error) {
	return s.DownscopeAgain(ctx, scopes, resource, &Token{})
}

// DownscopeAgain is Downscope after Box answered 401 to such a token. The broker looks whether that is
// so, and answers with another token or with the same.
func (s *Source) DownscopeAgain(ctx context.Context, scopes []string, resource *Resource, rejected *Token) (*Token, error) {
	asked := s.asked
	asked.Scopes, asked.Resource, asked.Rejected = scopes, resource, rejected.AccessToken.Text()
	token, _, err := s.broker.token(ctx, "/downscoped", asked, s.maxWait())
	return token, err
}

func (s *Source) maxWait() time.Duration {
	if s.options.MaxWait == 0 {
		return 30 * time.Second
	}
	return s.options.MaxWait
}

func (s *Source) now() (*Token, time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.held, s.refreshAt
}

func (s *Source) putOff(held *Token, after time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if after < pause {
		after = pause
	}
	s.refreshAt = s.broker.now().Add(after)
	if s.refreshAt.After(held.ExpiresAt) {
		s.refreshAt = held.ExpiresAt
	}
}

// ask asks the broker, or waits for the answer to whoever is asking already. An answer to one who
// did not report the rejected token and was given it all the same does not count, and neither does a
// passing failure of a renewal for one who has no token to go on with.
func (s *Source) ask(ctx context.Context, rejected Secret, renewal bool) (*Token, error) {
	for {
		mine, other := s.board(rejected, renewal)
		if mine != nil {
			// Others may wait for the answer: it does not end with whoever asked first.
			go s.fly(mine)
			other = mine
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		same := other.rejected.Text() == rejected.Text()
		var refusal *Error
		tooSoon := other.renewal && !renewal && errors.As(other.err, &refusal) && refusal.Temporary
		if same && !tooSoon || other.err == nil && other.token.AccessToken.Text() != rejected.Text() {
			return other.token, other.err
		}
	}
}

// board begins a flight, or finds the one that is under way.
func (s *Source) board(rejected Secret, renewal bool) (mine, other *flight) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.flight != nil {
		return nil, s.flight
	}
	mine = &flight{rejected: rejected, renewal: renewal, done: make(chan struct{})}
	if rejected.Text() == "" && s.held != nil && s.broker.now().Before(s.refreshAt) {
		mine.token = s.held
		close(mine.done)
		return nil, mine
	}
	s.flight = mine
	return mine, nil
}

func (s *Source) fly(mine *flight) {
	broker, maxWait := s.broker, s.maxWait()
	if mine.renewal {
		broker, maxWait = broker.hurried(), 0
	}
	asked := s.asked
	asked.Rejected = mine.rejected.Text()
	token, refreshAt, err := broker.token(context.Background(), "", asked, maxWait)
	s.mutex.Lock()
	if err == nil {
		s.held, s.refreshAt = token, refreshAt
	}
	s.flight = nil
	s.mutex.Unlock()
	mine.token, mine.err = token, err
	close(mine.done)
}

// credible is what can stand in a header.
var credible = regexp.MustCompile(`^[!-~]+$`)

func tokenURL(brokerURL, tenant string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimRight(brokerURL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" ||
		base.User != nil || strings.ContainsAny(brokerURL, "?#") {
		return nil, errors.New("boxtokenbroker: the broker's URL must be such as https://broker.example.com")
	}
	if tenant == "" {
		return nil, errors.New("boxtokenbroker: the tenant must be a name or an id")
	}
	return url.Parse(fmt.Sprintf("%s/v1/tenants/%s/token", base, url.PathEscape(tenant)))
}
